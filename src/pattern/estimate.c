/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/estimate.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/switches.h"
#include "pattern/pattern.h"
#include "pattern/tile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    LEAST_STRIPS = 16, /* of a sample; else one in ONE_IN */
    ONE_IN = 64,
    FEWEST_STRIPS = 8, /* of a sample, where each has very many blocks: */
    MOST_BLOCKS = 1 << 20,
    NARROWING = 5, /* halvings, by ratio, on the way to the largest cutoff that fits */
};

static const double first_cutoff = 4.0, least_cutoff = 0.01; /* A */

struct sums {
    double pairs, partials, runs, candidates; /* of a strip; candidates: blocks that there had to be room for */
};

struct sample {
    struct tile_source *tiles;
    int64_t strips, n;
    struct worker *workers; /* [workers] */
};

struct worker {
    struct block_list found;
    struct sums sums;
    vic_status status;
    vic_error error;
};

/* One out of each of n equal parts, at a place that looks random and is always the same. */
static int64_t sampled_strip(const struct sample *s, int64_t i)
{
    int64_t first = s->strips * i / s->n, end = s->strips * (i + 1) / s->n;
    uint64_t mixed = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
    return first + (int64_t)((mixed >> 32) % (uint64_t)(end - first));
}

static vic_status sample_strip(struct sample *s, int64_t strip, int worker, vic_error *err)
{
    struct block_list *found = &s->workers[worker].found;
    struct sums *sums = &s->workers[worker].sums;
    block_list_clear(found);
    TRY(tile_source_strip(s->tiles, strip, worker, found, err));
    TRY(block_list_close(found, 0, 0, err));
    sums->pairs += (double)found->n_pairs;
    sums->partials += (double)found->n;
    sums->runs += (double)found->n_runs;
    sums->candidates += (double)s->tiles->scratch[worker].search.n_candidates;
    return VIC_OK;
}

static void sample_task(void *context, int64_t task, int worker)
{
    struct sample *s = context;
    struct worker *w = &s->workers[worker];
    if (w->status == VIC_OK) w->status = sample_strip(s, sampled_strip(s, task), worker, &w->error);
}

/* `blocks`: about how many a strip looks at. */
static vic_status take_sample(const struct estimate_input *in, struct tile_source *tiles, double blocks,
                              struct pool *pool, struct sums *mean, vic_error *err)
{
    vic_status st = VIC_OK;
    int workers = pool_threads(pool);
    struct sample s = { .tiles = tiles, .strips = in->p->strips };
    s.n = s.strips / ONE_IN > LEAST_STRIPS ? s.strips / ONE_IN : LEAST_STRIPS;
    if ((double)s.n * blocks > MOST_BLOCKS) s.n = (int64_t)(MOST_BLOCKS / blocks);
    if (s.n < FEWEST_STRIPS) s.n = FEWEST_STRIPS;
    if (s.n > s.strips) s.n = s.strips;
    memset(mean, 0, sizeof *mean);
    TRY(mem_array_zero((size_t)workers, sizeof *s.workers, "workers", &s.workers, err));
    pool_run(pool, s.n, sample_task, &s);
    for (int w = 0; w < workers; w++) {
        const struct worker *worker = &s.workers[w];
        if (worker->status != VIC_OK) {
            if (err) *err = worker->error;
            st = worker->status;
            goto done;
        }
        mean->pairs += worker->sums.pairs / (double)s.n;
        mean->partials += worker->sums.partials / (double)s.n;
        mean->runs += worker->sums.runs / (double)s.n;
        mean->candidates += worker->sums.candidates / (double)s.n;
    }
done:
    for (int w = 0; w < workers; w++) block_list_free(&s.workers[w].found);
    free(s.workers);
    return st;
}

/* A block in the pattern and on the way there. */
static const double block_bytes = 2 * sizeof(int32_t) + sizeof(struct block_bits);

/* What does not depend on how many blocks there are: positions, order, wraps, and the points of the search. */
static double fixed_bytes(const struct estimate_input *in)
{
    const vic_pattern *p = in->p;
    double rows = (double)p->n_q + (p->one_set ? 0.0 : (double)p->n_k);
    double kept = sizeof(int32_t) + 3 * sizeof(double) + (in->placed->lattice.rank > 0 ? 3 * sizeof(int32_t) : 0);
    double search = (double)sizeof(struct cluster_points) / CLUSTER + 2.0 * sizeof(struct box4) / STRIP;
    return rows * (kept + search) + 2.0 * sizeof(int64_t) * (double)p->strips;
}

/* While the last wave is built: the pattern, and what a wave's tiles and the workers hold. */
static double peak_bytes(const struct estimate_input *in, int64_t n_images, int workers, const struct sums *mean)
{
    double strips = (double)in->p->strips, tiles = ceil(strips / TILE_STRIPS);
    double blocks = strips * (mean->partials * block_bytes + mean->runs * sizeof(struct full_run));
    double tile = (TILE_STRIPS - 1) * mean->partials + mean->candidates;
    double wave = (double)wave_tasks((int64_t)tiles, workers) * tile * block_bytes;
    double scratch =
        workers * mean->candidates * (sizeof(struct block_bits) + sizeof(struct filtered) + sizeof(struct candidate));
    double images = (double)n_images * (sizeof(struct lattice_image) + 3 * sizeof(int32_t));
    return fixed_bytes(in) + images + blocks + wave + scratch;
}

/* As if the pattern had this cutoff.  *blocks: about how many a strip looks at, then as seen. */
static vic_status at_cutoff(const struct estimate_input *in, double cutoff, struct pool *pool, double *blocks,
                            double *pairs, double *bytes, vic_error *err)
{
    vic_status st;
    vic_pattern p = *in->p;
    struct tile_source tiles;
    struct sums mean = { 0 };
    p.cutoff = cutoff;
    p.images = NULL;
    TRY_GOTO(tile_source_make(&p, in->placed, pool_threads(pool), &tiles, err), done);
    TRY_GOTO(take_sample(in, &tiles, *blocks, pool, &mean, err), done);
    *blocks = mean.candidates;
    *pairs = mean.pairs * (double)p.strips;
    *bytes = peak_bytes(in, p.n_images, pool_threads(pool), &mean);
done:
    tile_source_free(&tiles);
    free(p.images);
    return st;
}

/* No pattern of so many clusters and images takes more.  Without a sample, so that small ones are not held up. */
static double most_bytes(const struct estimate_input *in, int workers)
{
    double images = 1.0, reach = in->p->cutoff + 1.0;
    struct sums all;
    for (int k = 0; k < in->placed->lattice.rank; k++)
        images *= 2.0 * ceil(reach / in->placed->lattice.spacing[k]) + 3.0;
    all = (struct sums){ 0.0, images * (double)in->p->clusters, 0.0, images * (double)in->p->clusters };
    return peak_bytes(in, (int64_t)fmin(images, 1e18), workers, &all);
}

/* The largest cutoff that fits, between one that does (0: nobody knows) and one that does not; 0 = none. */
static vic_status narrow(const struct estimate_input *in, double fits, double too_large, struct pool *pool,
                         double *out, vic_error *err)
{
    double pairs, bytes, step, blocks = 0.0;
    while (fits == 0.0 && too_large > least_cutoff) {
        TRY(at_cutoff(in, too_large / 2, pool, &blocks, &pairs, &bytes, err));
        if (bytes <= (double)in->max_bytes)
            fits = too_large / 2;
        else
            too_large /= 2;
    }
    for (int i = 0; i < NARROWING && fits > 0.0; i++) {
        double middle = sqrt(fits * too_large);
        TRY(at_cutoff(in, middle, pool, &blocks, &pairs, &bytes, err));
        if (bytes <= (double)in->max_bytes)
            fits = middle;
        else
            too_large = middle;
    }
    step = fits > 0.0 ? pow(10.0, floor(log10(fits)) - 1.0) : 1.0; /* two digits, rounded down */
    *out = floor(fits / step * (1 + 1e-12)) * step;
    return VIC_OK;
}

vic_status pattern_estimate(const struct estimate_input *in, struct pool *pool, vic_pattern_estimate *out,
                            vic_error *err)
{
    double start = clock_seconds(), cutoff = in->p->cutoff, fits = 0.0, blocks = 0.0;
    double limit = (double)in->max_bytes;
    char fitting[48] = "";
    memset(out, 0, sizeof *out);
    if (most_bytes(in, pool_threads(pool)) <= limit) return VIC_OK;
    while (cutoff > first_cutoff) cutoff /= 2;
    for (;; cutoff = 2 * cutoff > in->p->cutoff * 0.99 ? in->p->cutoff : 2 * cutoff) {
        blocks *= 8; /* from a cutoff half as large */
        TRY(at_cutoff(in, cutoff, pool, &blocks, &out->pairs, &out->bytes, err));
        out->cutoff = cutoff;
        if (out->bytes > limit || cutoff == in->p->cutoff) break;
        fits = cutoff;
    }
    log_line("pattern", "a sample of strips says %.4g pairs and %.4g bytes at %g A, in %.3g s", out->pairs,
             out->bytes, out->cutoff, clock_seconds() - start);
    if (out->bytes <= limit) return VIC_OK;
    out->refused = true;
    TRY(narrow(in, fits, cutoff, pool, &out->fitting_cutoff, err));
    if (out->fitting_cutoff > 0.0) snprintf(fitting, sizeof fitting, " (%g A would fit)", out->fitting_cutoff);
    return vic_fail(err, VIC_NO_MEMORY,
                    "cutoff: the pattern of %g A would have about %.3g pairs and take about %.3g bytes while it is "
                    "built, more than max_bytes allows (%.3g); take a smaller cutoff%s, or raise max_bytes",
                    cutoff, out->pairs, out->bytes, limit, fitting);
}
