/* SPDX-License-Identifier: Apache-2.0 */
/* What the cores' multiply-add units can do: a loop that touches registers only, per instruction set and number of
 * threads.  The figures by which docs/performance.md judges the CPU kernels.
 * usage: bench_fma_peak [THREADS]      one JSON object on stdout; THREADS 0 or none = all that this process may use
 */
#include "base/clock.h"
#include "base/threads.h"
#include "vicinal_dev.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 4000000, TASK_LOOPS = LOOPS / 16, REPEATS = 8 };

#define UNROLL _Pragma("GCC unroll 32")

/* `chains` sums that do not wait for each other: latency x throughput of the units, 8 to 10 on today's x86 cores, fit
 * in. The empty asm keeps them in registers and in the loop.  Returns something that depends on all. */
#define PEAK(name, attributes, vector, lanes, chains)                                                                \
    typedef float vector __attribute__((vector_size((lanes)*4)));                                                    \
    attributes static float peak_##name(int64_t loops)                                                               \
    {                                                                                                                \
        vector sum[chains], a = (vector){ 0 } + 0.999f, b = (vector){ 0 } + 0.001f;                                  \
        float total = 0.0f;                                                                                          \
        UNROLL for (int i = 0; i < (chains); i++) sum[i] = b + (float)i;                                             \
        for (int64_t n = 0; n < loops; n++) UNROLL for (int i = 0; i < (chains); i++)                                \
            {                                                                                                        \
                sum[i] = sum[i] * a + b;                                                                             \
                __asm__ volatile("" : "+" REGISTER(sum[i]));                                                         \
            }                                                                                                        \
        UNROLL for (int i = 0; i < (chains); i++) for (int lane = 0; lane < (lanes); lane++) total += sum[i][lane];  \
        return total;                                                                                                \
    }

#if defined(__x86_64__)
#define REGISTER(x) "x"(x)
PEAK(scalar, , v4, 4, 12)
PEAK(avx2, __attribute__((target("avx2,fma"))), v8, 8, 12)
#undef REGISTER
#define REGISTER(x) "v"(x)
PEAK(avx512, __attribute__((target("avx512f,fma"))), v16, 16, 20)
#elif defined(__aarch64__)
#define REGISTER(x) "w"(x)
PEAK(scalar, , v4, 4, 20)
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}
#endif

static const struct {
    const char *name;
    float (*run)(int64_t loops);
    int lanes, chains;
    bool (*here)(void);
} sets[] = {
    { "scalar", peak_scalar, 4, 12,
      always }, /* whatever every CPU of this architecture has, as the kernel of this name */
#if defined(__x86_64__)
    { "avx2", peak_avx2, 8, 12, has_avx2 },
    { "avx512", peak_avx512, 16, 20, has_avx512 },
#endif
};

struct work {
    float (*run)(int64_t loops);
    float *sink; /* one a worker: the result is used */
};

static void task(void *context, int64_t index, int worker)
{
    struct work *w = context;
    (void)index;
    w->sink[worker] = w->run(TASK_LOOPS);
}

int main(int argc, char **argv)
{
    struct pool *pool;
    vic_error err;
    int threads = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2 || threads < 0 || pool_create(threads, &pool, &err) != VIC_OK) {
        fprintf(stderr, "usage: bench_fma_peak [THREADS]\n");
        return 2;
    }
    threads = pool_threads(pool);
    float *sink = calloc((size_t)threads, sizeof *sink);
    if (!sink) return 1;
    printf("{\"threads\": %d, \"build\": \"%s\"", threads, vic_build_info());
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        struct work work = { sets[s].run, sink };
        double best = 1e30, flop = 2.0 * sets[s].lanes * sets[s].chains * LOOPS * threads;
        if (!sets[s].here()) continue;
        for (int r = 0; r < REPEATS; r++) {
            double start = clock_seconds(), seconds;
            pool_run(pool, 16 * (int64_t)threads, task, &work);
            seconds = clock_seconds() - start;
            best = seconds < best ? seconds : best;
        }
        printf(", \"%s_gflops\": %.1f", sets[s].name, flop / best / 1e9);
    }
    printf("}\n");
    free(sink);
    pool_free(pool);
    return 0;
}
