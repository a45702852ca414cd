/* SPDX-License-Identifier: Apache-2.0 */
/* What a file says about a pattern, before anyone relies on it. */
#include "base/memory.h"
#include "pattern/block_list.h"
#include "pattern/images.h"
#include "pattern/io/vnp.h"
#include "pattern/lattice.h"
#include "pattern/limits.h"
#include "pattern/ranges.h"

#include <math.h>
#include <string.h>

/* ---- sets of atoms ---- */

static vic_status check_positions(const struct vnp *f, const char *path, const void *slot, int64_t n,
                                  const double *positions, vic_error *err)
{
    for (int64_t i = 0; positions && i < 3 * n; i++)
        if (!(fabs(positions[i]) <= max_coordinate))
            return vnp_wrong(f, path, slot, i / 3, err, "expected coordinates within %g A, found %g", max_coordinate,
                             positions[i]);
    return VIC_OK;
}

static vic_status check_order(const struct vnp *f, const char *path, const void *slot, int64_t n,
                              const int32_t *order, vic_error *err)
{
    vic_status st = VIC_OK;
    uint8_t *seen;
    TRY(mem_array_zero((size_t)n, 1, "atoms", &seen, err));
    for (int64_t row = 0; row < n && st == VIC_OK; row++) {
        if (order[row] < 0 || order[row] >= n)
            st =
                vnp_wrong(f, path, slot, row, err, "expected an atom below %lld, found %d", (long long)n, order[row]);
        else if (seen[order[row]]++)
            st = vnp_wrong(f, path, slot, row, err, "expected each atom once, found %d again", order[row]);
    }
    free(seen);
    return st;
}

static vic_status check_wraps(const struct vnp *f, const char *path, const void *slot, int64_t n, int32_t (*wrap)[3],
                              vic_error *err)
{
    for (int64_t i = 0; wrap && i < n; i++)
        for (int x = 0; x < 3; x++)
            if (wrap[i][x] <= -MAX_WRAP || wrap[i][x] >= MAX_WRAP)
                return vnp_wrong(f, path, slot, i, err, "expected wraps within 2^29 cells, found %d", wrap[i][x]);
    return VIC_OK;
}

static vic_status check_images(const struct vnp *f, const char *path, vic_error *err)
{
    const vic_pattern *p = f->p;
    for (int64_t i = 0; i < p->n_images; i++) {
        for (int x = 0; x < 3; x++)
            if (p->images[i][x] <= -MAX_IMAGE || p->images[i][x] >= MAX_IMAGE)
                return vnp_wrong(f, path, &p->images, i, err, "expected images within 2^30 cells, found %d",
                                 p->images[i][x]);
        if (i > 0 && integers_compare(p->images[i - 1], p->images[i]) >= 0)
            return vnp_wrong(f, path, &p->images, i, err, "expected images in rising order, found one out of it");
    }
    return VIC_OK;
}

/* `reach` is the greatest cutoff: as when a pattern is built, one that meets too many images is refused before anyone
 * goes through them. */
static vic_status check_cell(const char *path, const char *what, const double cell[3][3], const bool periodic[3],
                             double reach, vic_error *err)
{
    struct lattice lattice;
    vic_error reason;
    double images = 1.0;
    for (int i = 0; i < 9; i++)
        if (!isfinite(cell[i / 3][i % 3]))
            return vic_fail(err, VIC_BAD_INPUT, "%s: %s: expected finite numbers, found %g", path, what,
                            cell[i / 3][i % 3]);
    if (lattice_make(cell, periodic, &lattice, &reason) != VIC_OK)
        return vic_fail(err, VIC_BAD_INPUT, "%s: %s: %.900s", path, what, reason.text);
    for (int k = 0; k < lattice.rank; k++) images *= 2 * floor(reach / lattice.spacing[k] + 1.01) + 1;
    if (images <= 4.0 * MAX_IMAGES) return VIC_OK;
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: %s: expected a cutoff that reaches at most %.0f images of the cell, found %g A", path, what,
                    4.0 * MAX_IMAGES, reach);
}

/* Of all that is searched by distance; whether it is a cutoff at all is checked beside each. */
static double greatest_cutoff(const vic_pattern *p)
{
    double greatest = p->n_rules == 0 ? p->cutoff : 0.0;
    for (int64_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].kind == RULE_CUTOFF && p->rules[i].cutoff > greatest) greatest = p->rules[i].cutoff;
    return greatest;
}

static vic_status check_offsets(const struct vnp *f, const char *path, const void *slot, const int64_t *offsets,
                                int64_t atoms, vic_error *err)
{
    int64_t n = f->p->structures;
    for (int64_t s = 0; s <= n; s++) {
        int64_t low = s == 0 ? 0 : s == n ? atoms : offsets[s - 1], high = s == 0 ? 0 : atoms;
        if (offsets[s] < low || offsets[s] > high)
            return vnp_wrong(f, path, slot, s, err, "expected %lld to %lld, found %lld", (long long)low,
                             (long long)high, (long long)offsets[s]);
    }
    return VIC_OK;
}

static vic_status check_structures(const struct vnp *f, const char *path, double reach, vic_error *err)
{
    const vic_pattern *p = f->p;
    if (p->structures == 0) return VIC_OK;
    if (!p->q_positions)
        return vic_fail(err, VIC_BAD_INPUT, "%s: several structures need positions, found none", path);
    TRY(check_offsets(f, path, &p->offsets, p->offsets, p->n_q, err));
    if (!p->one_set) TRY(check_offsets(f, path, &p->k_offsets, p->k_offsets, p->n_k, err));
    for (int64_t s = 0; s < p->structures; s++)
        TRY(check_cell(path, "cell of a structure", (const double(*)[3])p->cells[s].cell, p->cells[s].periodic, reach,
                       err));
    return VIC_OK;
}

/* ---- blocks ---- */

static vic_status check_ptr(const struct vnp *f, const char *path, const void *slot, int64_t rows, const int64_t *ptr,
                            int64_t n, vic_error *err)
{
    for (int64_t i = 0; i <= rows; i++) {
        int64_t low = i == 0 ? 0 : i == rows ? n : ptr[i - 1], high = i == 0 ? 0 : n;
        if (ptr[i] < low || ptr[i] > high)
            return vnp_wrong(f, path, slot, i, err, "expected %lld to %lld, found %lld", (long long)low,
                             (long long)high, (long long)ptr[i]);
    }
    /* Without rows the one entry is first and last. */
    if (rows == 0 && n != 0)
        return vnp_wrong(f, path, slot, 0, err, "expected %lld entries in rows, found no row", (long long)n);
    return VIC_OK;
}

static int compare_run(const void *a, const void *b)
{
    const struct full_run *p = a, *q = b;
    if (p->image != q->image) return p->image < q->image ? -1 : 1;
    return (p->first > q->first) - (p->first < q->first);
}

/* The strip's runs, by image and first cluster: none may overlap. */
static vic_status sort_runs(const struct vnp *f, const char *path, int64_t strip, struct full_run *runs,
                            vic_error *err)
{
    const vic_pattern *p = f->p;
    int64_t first = p->full_ptr[strip], n = p->full_ptr[strip + 1] - first;
    if (n == 0) return VIC_OK;
    memcpy(runs, p->full_runs + first, (size_t)n * sizeof *runs);
    qsort(runs, (size_t)n, sizeof *runs, compare_run);
    for (int64_t i = 1; i < n; i++)
        if (runs[i].image == runs[i - 1].image && runs[i].first < runs[i - 1].first + runs[i - 1].count)
            return vnp_wrong(f, path, &p->full_runs, first, err,
                             "expected runs of strip %lld that do not overlap, found cluster %d twice",
                             (long long)strip, runs[i].first);
    return VIC_OK;
}

static bool in_runs(const struct full_run *runs, int64_t n, int32_t cluster, int32_t image)
{
    int64_t low = 0, high = n; /* the last run that does not begin behind */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (runs[middle].image < image || (runs[middle].image == image && runs[middle].first <= cluster))
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && runs[low - 1].image == image && cluster < runs[low - 1].first + runs[low - 1].count;
}

/* Rows and keys that exist. */
static uint64_t rows_of(const vic_pattern *p, int64_t strip)
{
    int64_t rows = p->n_q - strip * STRIP;
    return rows >= STRIP ? UINT64_MAX : ((uint64_t)1 << rows) - 1;
}

static vic_status check_bits(const struct vnp *f, const char *path, int64_t strip, int64_t at, vic_error *err)
{
    vic_pattern *p = f->p;
    int64_t first = (int64_t)p->partial_cluster[at] * CLUSTER;
    uint64_t rows = rows_of(p, strip);
    int count = 0;
    for (int c = 0; c < CLUSTER; c++) {
        uint64_t bits = p->partial_bits[at].key[c], allowed = first + c < p->n_k ? rows : 0;
        if (bits & ~allowed)
            return vnp_wrong(f, path, &p->partial_bits, at, err,
                             "expected no bit of a row or key past the end, found %016llx for key %d",
                             (unsigned long long)(bits & ~allowed), c);
        count += __builtin_popcountll(bits);
    }
    if (count == 0 || count == BLOCK)
        return vnp_wrong(f, path, &p->partial_bits, at, err, "expected 1 to %d bits of a partial block, found %d",
                         BLOCK - 1, count);
    if (__builtin_add_overflow(p->info.pairs, (int64_t)count, &p->info.pairs))
        return vnp_wrong(f, path, &p->partial_bits, at, err, "expected fewer than 2^63 pairs, found more");
    return VIC_OK;
}

static vic_status check_partial(const struct vnp *f, const char *path, int64_t strip, const struct full_run *runs,
                                vic_error *err)
{
    vic_pattern *p = f->p;
    int64_t n_runs = p->full_ptr[strip + 1] - p->full_ptr[strip];
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++) {
        int32_t cluster = p->partial_cluster[i], image = p->partial_image[i];
        if (cluster < 0 || cluster >= p->clusters)
            return vnp_wrong(f, path, &p->partial_cluster, i, err, "expected a cluster below %lld, found %d",
                             (long long)p->clusters, cluster);
        if (image < 0 || image >= p->n_images)
            return vnp_wrong(f, path, &p->partial_image, i, err, "expected an image below %lld, found %d",
                             (long long)p->n_images, image);
        if (i > p->partial_ptr[strip]) {
            int32_t before = p->partial_cluster[i - 1];
            if (cluster < before || (cluster == before && image <= p->partial_image[i - 1]))
                return vnp_wrong(f, path, &p->partial_cluster, i, err,
                                 "expected blocks of a strip by cluster and image, found (%d, %d) after (%d, %d)",
                                 cluster, image, before, p->partial_image[i - 1]);
        }
        if (in_runs(runs, n_runs, cluster, image))
            return vnp_wrong(f, path, &p->partial_cluster, i, err,
                             "expected a block to be partial or full, found cluster %d both", cluster);
        TRY(check_bits(f, path, strip, i, err));
    }
    return VIC_OK;
}

static vic_status check_runs(const struct vnp *f, const char *path, int64_t strip, vic_error *err)
{
    vic_pattern *p = f->p;
    int64_t whole = p->n_k / CLUSTER; /* clusters with 16 keys */
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++) {
        const struct full_run *run = &p->full_runs[i];
        if (run->first < 0 || run->count < 1 || run->first > whole || run->count > whole - run->first)
            return vnp_wrong(f, path, &p->full_runs, i, err,
                             "expected clusters of 16 keys, below %lld, found %d from %d on", (long long)whole,
                             run->count, run->first);
        if (rows_of(p, strip) != UINT64_MAX)
            return vnp_wrong(f, path, &p->full_runs, i, err,
                             "expected no full block in a strip that is cut, found one");
        if (run->image < 0 || run->image >= p->n_images)
            return vnp_wrong(f, path, &p->full_runs, i, err, "expected an image below %lld, found %d",
                             (long long)p->n_images, run->image);
        if (__builtin_add_overflow(p->info.pairs, (int64_t)run->count * BLOCK, &p->info.pairs))
            return vnp_wrong(f, path, &p->full_runs, i, err, "expected fewer than 2^63 pairs, found more");
        p->n_full += run->count; /* of pairs there are 1024 times as many */
    }
    return VIC_OK;
}

static vic_status check_blocks(const struct vnp *f, const char *path, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_pattern *p = f->p;
    struct full_run *runs = NULL;
    TRY_GOTO(mem_array((size_t)f->n_runs, sizeof *runs, "runs of full blocks", &runs, err), done);
    for (int64_t strip = 0; strip < p->strips; strip++) {
        TRY_GOTO(check_runs(f, path, strip, err), done);
        TRY_GOTO(sort_runs(f, path, strip, runs, err), done);
        TRY_GOTO(check_partial(f, path, strip, runs, err), done);
    }
done:
    free(runs);
    return st;
}

vic_status vnp_check(const struct vnp *f, const char *path, vic_error *err)
{
    const vic_pattern *p = f->p;
    double reach = greatest_cutoff(p);
    if (!(p->cutoff >= 0) || p->cutoff > max_cutoff || (p->n_rules == 0 && p->cutoff == 0))
        return vic_fail(err, VIC_BAD_INPUT, "%s: byte %d, cutoff: expected up to %g A%s, found %g", path,
                        VNP_AT_CUTOFF, max_cutoff, p->n_rules == 0 ? " and above 0, as there is no other rule" : "",
                        p->cutoff);
    if (p->n_rules == 0 && !p->q_positions)
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected positions, or a rule that needs none, found neither", path);
    if (!p->one_set && !p->q_ids && p->exclude_self)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: byte %d: self pairs left out of two sets of atoms, which have none without ids", path,
                        VNP_AT_FLAGS);
    TRY(check_cell(path, "cell", p->cell, p->periodic, reach, err));
    TRY(check_positions(f, path, &p->q_positions, p->n_q, p->q_positions, err));
    TRY(check_order(f, path, &p->q_order, p->n_q, p->q_order, err));
    TRY(check_wraps(f, path, &p->q_wrap, p->n_q, p->q_wrap, err));
    if (!p->one_set) {
        TRY(check_positions(f, path, &p->k_positions, p->n_k, p->k_positions, err));
        TRY(check_order(f, path, &p->k_order, p->n_k, p->k_order, err));
        TRY(check_wraps(f, path, &p->k_wrap, p->n_k, p->k_wrap, err));
    }
    TRY(check_images(f, path, err));
    TRY(check_structures(f, path, reach, err));
    TRY(check_ptr(f, path, &p->partial_ptr, p->strips, p->partial_ptr, p->n_partial, err));
    TRY(check_ptr(f, path, &p->full_ptr, p->strips, p->full_ptr, f->n_runs, err));
    return check_blocks(f, path, err);
}

/* ---- rules ---- */

static vic_status check_list(const struct vnp *f, const char *path, const struct pattern_rule *r, int64_t below,
                             vic_error *err)
{
    TRY(check_ptr(f, path, &r->ptr, r->rows, r->ptr, r->n, err));
    for (int64_t row = 0; row < r->rows; row++)
        for (int64_t i = r->ptr[row]; i < r->ptr[row + 1]; i++) {
            bool first = i == r->ptr[row];
            if (r->index[i] < 0 || r->index[i] >= below)
                return vnp_wrong(f, path, &r->index, i, err, "expected 0 to %lld, found %d", (long long)below - 1,
                                 r->index[i]);
            if (r->image)
                for (int x = 0; x < 3; x++)
                    if (r->image[i][x] <= -MAX_IMAGE || r->image[i][x] >= MAX_IMAGE)
                        return vnp_wrong(f, path, &r->image, i, err, "expected images within 2^30, found %d",
                                         r->image[i][x]);
            if (first || r->index[i] > r->index[i - 1]) continue;
            if (r->index[i] < r->index[i - 1] || !r->image || integers_compare(r->image[i - 1], r->image[i]) >= 0)
                return vnp_wrong(f, path, &r->index, i, err, "expected a row in rising order, found %d after %d",
                                 r->index[i], r->index[i - 1]);
        }
    return VIC_OK;
}

static bool has_list(const struct pattern_rule *r)
{
    return r->kind == RULE_BLOCKS || r->kind == RULE_PAIRS || r->kind == RULE_EXCLUDE || r->kind == RULE_RANGES;
}

/* Does a leaf, or an exclusion, have what its kind needs, and nothing else? */
static bool fits_kind(const vic_pattern *p, const struct pattern_rule *r)
{
    bool geometry = r->kind == RULE_CUTOFF || r->kind == RULE_NEAREST;
    bool counts = r->kind == RULE_NEAREST || r->kind == RULE_WINDOWS || r->kind == RULE_BLOCKS;
    if ((r->ptr != NULL) != has_list(r) || (geometry && !p->q_positions)) return false;
    if (r->exclude_self && !(geometry && (p->one_set || p->q_ids))) return false;
    if (r->cutoff != 0 && r->kind != RULE_CUTOFF) return false;
    if ((r->first != NULL) != (r->kind == RULE_RANGES)) return false;
    if (r->transposed && r->kind != RULE_NEAREST && r->kind != RULE_WINDOWS && r->kind != RULE_RANGES) return false;
    if (counts && (r->count < 1 || r->count > INT32_MAX)) return false;
    switch (r->kind) {
    case RULE_CUTOFF: return r->cutoff > 0 && r->cutoff <= max_cutoff;
    case RULE_BLOCKS: return r->count % CLUSTER == 0 && !r->image;
    case RULE_WINDOWS: return r->keys >= 1 && r->keys <= INT32_MAX && (r->keys - r->count) % 2 == 0;
    case RULE_EXCLUDE: return !r->q_skip && !r->k_skip;
    case RULE_RANGES: return !r->image; /* check_ranges() looks at the rest */
    default: return true;
    }
}

/* By the words of the way itself. */
static vic_status check_ranges(const struct vnp *f, const char *path, const struct pattern_rule *r, vic_error *err)
{
    vic_status st = VIC_OK;
    const vic_pattern *p = f->p;
    int64_t *ptr = NULL;
    vic_error reason;
    TRY(check_ptr(f, path, &r->ptr, r->rows, r->ptr, r->n, err));
    TRY_GOTO(mem_array((size_t)r->rows + 1, sizeof *ptr, "groups", &ptr, err), done);
    for (int64_t g = 0; g <= r->rows; g++) {
        ptr[g] = r->ptr[g] / 2;
        if (r->ptr[g] % 2 == 0) continue;
        st = vnp_wrong(f, path, &r->ptr, g, err, "expected a start and an end of each range, found %lld numbers",
                       (long long)r->ptr[g]);
        goto done;
    }
    const struct ranges_input in = { r->rows, r->first, ptr, r->index, r->count, r->keys, r->share };
    st = ranges_check(r->transposed ? p->n_k : p->n_q, r->transposed ? p->n_q : p->n_k, &in, &reason);
    if (st != VIC_OK) st = vic_fail(err, st == VIC_NO_MEMORY ? st : VIC_BAD_INPUT, "%s: %.900s", path, reason.text);
done:
    free(ptr);
    return st;
}

static vic_status check_leaf(const struct vnp *f, const char *path, int64_t i, vic_error *err)
{
    const vic_pattern *p = f->p;
    const struct pattern_rule *r = &p->rules[i];
    /* Atoms of a row and of a column of its list. */
    int64_t size = r->kind == RULE_BLOCKS && r->count > 0 ? r->count : 1;
    bool rows = r->kind == RULE_RANGES || !has_list(r) || r->rows == (p->n_q + size - 1) / size;
    if (!fits_kind(p, r) || !rows)
        return vnp_wrong(f, path, &f->rules, i, err, "expected a rule of kind %d that goes with the atoms",
                         (int)r->kind);
    if (r->kind == RULE_RANGES) return check_ranges(f, path, r, err);
    return has_list(r) ? check_list(f, path, r, (p->n_k + size - 1) / size, err) : VIC_OK;
}

vic_status vnp_check_rules(const struct vnp *f, const char *path, vic_error *err)
{
    const vic_pattern *p = f->p;
    int depth = 0;
    for (int64_t i = 0; i < p->n_rules; i++) {
        enum pattern_rule_kind kind = p->rules[i].kind;
        bool joins = kind == RULE_UNITE || kind == RULE_SUBTRACT;
        int takes = joins ? 2 : kind == RULE_EXCLUDE ? 1 : 0;
        if (depth < takes)
            return vnp_wrong(f, path, &f->rules, i, err, "expected %d sets before it, found %d", takes, depth);
        depth += 1 - takes;
        if (joins && (p->rules[i].ptr || p->rules[i].q_skip || p->rules[i].k_skip))
            return vnp_wrong(f, path, &f->rules, i, err, "expected a union without a list, found one");
        if (!joins) TRY(check_leaf(f, path, i, err));
    }
    if (p->n_rules > 0 && depth != 1)
        return vnp_wrong(f, path, &f->rules, p->n_rules - 1, err, "expected one set at the end, found %d", depth);
    return VIC_OK;
}
