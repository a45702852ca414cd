/* SPDX-License-Identifier: Apache-2.0 */
#include "gradient_cases.h"

void with_gradients(const struct attention_case *c, uint64_t seed, void (*body)(const struct kernel *, void *))
{
    struct problem p;
    struct gradients g;
    struct checked_case x = { c, &g };
    make_problem(c, seed, &p);
    make_gradients(&p, c->layout, seed, &g);
    for_each_kernel(&p.shape, body, &x);
    free_gradients(&g);
    free_problem(&p);
}

/* ---- bits ---- */

static void check_same(const struct tensor *t, const unsigned char *before, int first, int entries, const char *what)
{
    for (int entry = first; entry < first + entries; entry++) {
        const struct tensor one = entry_of(t, entry);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++) {
                const char *at = element_at(&one, row, head, 0);
                CHECK(memcmp(at, before + (at - (char *)t->buffer), (size_t)t->d * element_size(t->dtype)) == 0,
                      "%s: other bits in entry %d, row %lld, head %d", what, entry, (long long)row, head);
            }
    }
}

/* dq, dk and dv of an entry have the same bits alone and in a batch. */
static void check_entry_bits(const struct kernel *kernel, void *context)
{
    static const int ranges[][2] = { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 1, 2 } };
    const struct checked_case *x = context;
    struct gradients *g = x->g;
    const struct tensor *const written[] = { &g->dq, &g->dk, &g->dv };
    unsigned char *whole[3];
    launch_gradients(kernel, g, 2, 0);
    for (int i = 0; i < 3; i++) whole[i] = copy_of(written[i]);
    for (size_t r = small() ? 3 : 0; r < sizeof ranges / sizeof *ranges; r++) {
        char what[160];
        g->p->first_entry = ranges[r][0];
        g->p->entries = ranges[r][1];
        snprintf(what, sizeof what, "%s, %d entries from %d on", kernel->name, ranges[r][1], ranges[r][0]);
        launch_gradients(kernel, g, 2, 0xc5);
        for (int i = 0; i < 3; i++) check_same(written[i], whole[i], ranges[r][0], ranges[r][1], what);
    }
    g->p->first_entry = 0;
    g->p->entries = g->p->q.batch;
    for (int i = 0; i < 3; i++) free(whole[i]);
}

/* As it is with a distance bias; on a GPU, whose kernels take none, in both half types without. */
static void run_with_bias(struct attention_case c, uint64_t seed, int points,
                          void (*body)(const struct kernel *, void *))
{
    if (tested == VIC_CUDA) {
        for (int t = first_type(); t < TYPES; t++) {
            c.dtype = types[t];
            with_gradients(&c, seed, body);
        }
        return;
    }
    float *tables = make_tables(c.heads ? c.heads : 2, points, true, 5);
    c.bias = (struct distance_bias){ tables, points, points };
    with_gradients(&c, seed, body);
    free(tables);
}

void test_entries(void **state)
{
    struct attention_case c = {
        .name = "entries", .cell = SKEWED, .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .batch = 3, .layout = PADDED
    };
    (void)state;
    if (nothing_to_test()) skip();
    if (tested == VIC_CPU) with_gradients(&c, 77, check_entry_bits);
    run_with_bias(c, 78, 40, check_entry_bits);
}

/* ---- what is not wanted ---- */

enum { RESULTS = 7 };

/* The bytes of each result, whether it is wanted or not. */
static void results_of(const struct gradients *g, unsigned char *bytes[RESULTS], size_t size[RESULTS])
{
    const struct problem *p = g->p;
    const struct gradient_sums *s = &g->sums;
    void *const all[RESULTS] = {
        g->dq.buffer, g->dk.buffer, g->dv.buffer, s->dtable, s->dq_at, s->dk_at, (void *)(uintptr_t)s->dcell
    };
    const size_t sizes[RESULTS] = { g->dq.bytes,
                                    g->dk.bytes,
                                    g->dv.bytes,
                                    (size_t)(g->tables * p->args.bias.points) * sizeof(float),
                                    (size_t)(3 * p->pattern.n_q) * sizeof(double),
                                    (size_t)(3 * p->pattern.n_k) * sizeof(double),
                                    sizeof s->dcell };
    for (int i = 0; i < RESULTS; i++) {
        bytes[i] = all[i];
        size[i] = all[i] ? sizes[i] : 0;
    }
}

/* Any choice of results: those that are wanted have the same bits as with all of them, and the others are untouched. */
static void check_choices(const struct kernel *kernel, void *context)
{
    const struct checked_case *x = context;
    const struct gradients whole = *x->g;
    unsigned char *bytes[RESULTS], *with_all[RESULTS];
    size_t size[RESULTS];
    results_of(&whole, bytes, size);
    launch_gradients(kernel, x->g, 2, 0);
    for (int i = 0; i < RESULTS; i++) {
        with_all[i] = brute_alloc((int64_t)size[i], 1);
        if (size[i]) memcpy(with_all[i], bytes[i], size[i]);
    }
    for (unsigned choice = 0; choice < 2 * RESULTS; choice++) {
        const unsigned one = 1u << choice % RESULTS, wanted = choice < RESULTS ? one : ~one;
        struct gradients some = whole;
        struct attention_tensor *const rows[] = { &some.dq.view, &some.dk.view, &some.dv.view };
        for (int i = 0; i < 3; i++)
            if (!(wanted & 1u << i)) rows[i]->data = NULL;
        if (!(wanted & 8u)) some.args.dtable = NULL;
        if (!(wanted & 16u)) some.args.dq_positions = NULL;
        if (!(wanted & 32u)) some.args.dk_positions = NULL;
        if (!(wanted & 64u)) some.args.dcell = NULL;
        launch_gradients(kernel, &some, 2, 0); /* the same poison, so that bytes between elements are the same */
        if (wanted & 64u) memcpy(x->g->sums.dcell, some.sums.dcell, sizeof some.sums.dcell);
        for (int i = 0; i < RESULTS; i++) {
            const bool is_wanted = wanted & 1u << i;
            if (i == 6 && !is_wanted) continue; /* is in the copy */
            for (size_t b = 0; b < size[i]; b++)
                CHECK(bytes[i][b] == (is_wanted ? with_all[i][b] : 0),
                      "%s: result %d is %s, and byte %zu of it other", kernel->name, i,
                      is_wanted ? "wanted" : "not wanted", b);
        }
    }
    for (int i = 0; i < RESULTS; i++) free(with_all[i]);
}

void test_choices(void **state)
{
    struct attention_case c = {
        .name = "choices", .cell = SKEWED, .n_q = 70, .n_k = 90, .box = 9, .cutoff = 5, .heads = 4, .kv_heads = 2
    };
    (void)state;
    if (nothing_to_test()) skip();
    run_with_bias(c, 79, 20, check_choices);
    c.n_k = -1;
    run_with_bias(c, 80, 20, check_choices);
}
/* Neither dout nor dlse: all gradients are 0, also the sums. */
static void check_zeros(const struct kernel *kernel, void *context)
{
    const struct checked_case *x = context;
    struct gradients none = *x->g;
    unsigned char *bytes[RESULTS];
    size_t size[RESULTS];
    none.dout.view.data = none.dlse.view.data = NULL;
    results_of(&none, bytes, size);
    launch_gradients(kernel, &none, 2, 0xc5);
    for (int t = 0; t < 3; t++) {
        const struct tensor *written = t == 0 ? &none.dq : t == 1 ? &none.dk : &none.dv;
        for (int64_t row = 0; row < written->rows; row++)
            for (int head = 0; head < written->heads; head++)
                for (int i = 0; i < written->d; i++)
                    CHECK(get(written, row, head, i) == 0.0, "%s: a gradient of nothing", kernel->name);
    }
    for (int64_t i = 0; i < none.tables * none.p->args.bias.points; i++) assert_true(none.sums.dtable[i] == 0.0f);
    for (int64_t i = 0; i < 3 * none.p->pattern.n_q; i++) assert_true(none.sums.dq_at[i] == 0.0);
    for (int i = 0; i < 9; i++) assert_true(none.sums.dcell[i] == 0.0);
}

/* One of them alone is what it is beside zeros. */
static void check_one_given(const struct kernel *kernel, void *context)
{
    const struct checked_case *x = context;
    struct gradients *g = x->g;
    const struct tensor *const given[] = { &g->dout, &g->dlse }, *const written[] = { &g->dq, &g->dk, &g->dv };
    for (int one = 0; one < 2; one++) {
        struct gradients alone = *g;
        unsigned char *kept = copy_of(given[one]), *with_zeros[3];
        memset(given[one]->buffer, 0, given[one]->bytes);
        launch_gradients(kernel, g, 2, 0);
        for (int i = 0; i < 3; i++) with_zeros[i] = copy_of(written[i]);
        memcpy(given[one]->buffer, kept, given[one]->bytes);
        (one == 0 ? &alone.dout : &alone.dlse)->view.data = NULL;
        launch_gradients(kernel, &alone, 2, 0);
        for (int i = 0; i < 3; i++) {
            const struct tensor *t = written[i];
            for (int64_t row = 0; row < t->rows; row++)
                for (int head = 0; head < t->heads; head++)
                    for (int c = 0; c < t->d; c++) {
                        const double now = get(t, row, head, c);
                        struct tensor before = *t;
                        before.view.data = with_zeros[i] + ((char *)t->view.data - (char *)t->buffer);
                        CHECK(now == get(&before, row, head, c), "%s: without %s", kernel->name,
                              one ? "dlse" : "dout");
                    }
            free(with_zeros[i]);
        }
        free(kept);
    }
}

void test_given(void **state)
{
    const struct attention_case c = { .name = "given", .cell = CUBIC, .n_q = 90, .n_k = -1, .box = 9, .cutoff = 4 };
    (void)state;
    if (nothing_to_test()) skip();
    run_with_bias(c, 82, 20, check_zeros);
    run_with_bias(c, 83, 20, check_one_given);
}
