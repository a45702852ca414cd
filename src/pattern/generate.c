/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/generate.h"

#include "base/memory.h"
#include "pattern/limits.h"
#include "pattern/masks.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

struct request {
    int64_t rows, columns, block, n; /* n -1 = not given */
    double density;                  /* -1 = not given */
    uint64_t seed;
};

/* The shapes that block-sparse kernels are compared by: 80 % of a square grid is empty. */
static const struct {
    const char *name;
    int64_t grid, n;
} origins[] = { { "800", 63, 800 }, { "1600", 89, 1600 }, { "3200", 126, 3200 } };

static bool take_integer(const char **at, uint64_t most, uint64_t *out)
{
    *out = 0;
    if (!isdigit((unsigned char)**at)) return false;
    for (; isdigit((unsigned char)**at); ++*at) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (__builtin_mul_overflow(*out, 10u, out) || __builtin_add_overflow(*out, digit, out) || *out > most)
            return false;
    }
    return true;
}

/* Decimal digits with at most one point: no locale, no exponent. */
static bool take_fraction(const char **at, double *out)
{
    double value = 0.0, place = 1.0;
    bool point = false, any = false;
    for (; isdigit((unsigned char)**at) || (**at == '.' && !point); ++*at) {
        if (**at == '.') {
            point = true;
            continue;
        }
        any = true;
        value = 10.0 * value + (**at - '0');
        if (point) place *= 10.0;
    }
    *out = value / place;
    return any && isfinite(*out);
}

static bool take_text(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0) return false;
    *at += length;
    return true;
}

static bool parse_fields(const char **at, struct request *r)
{
    uint64_t value;
    do {
        if (take_text(at, "n=")) {
            if (r->n >= 0 || !take_integer(at, INT64_MAX, &value)) return false;
            r->n = (int64_t)value;
        } else if (take_text(at, "density=")) {
            if (r->density >= 0 || !take_fraction(at, &r->density) || r->density > 1.0) return false;
        } else if (take_text(at, "seed=")) {
            if (!take_integer(at, UINT64_MAX, &r->seed)) return false;
        } else if (take_text(at, "block=")) {
            if (!take_integer(at, INT32_MAX, &value)) return false;
            r->block = (int64_t)value;
        } else {
            return false;
        }
    } while (take_text(at, ","));
    return true;
}

static vic_status parse(const char *text, struct request *r, vic_error *err)
{
    const char *at = text;
    uint64_t rows = 0, columns = 0;
    *r = (struct request){ .block = 128, .n = -1, .density = -1.0, .seed = 1 };
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        if (strncmp(text, "origin:", 7) != 0 || strcmp(text + 7, origins[i].name) != 0) continue;
        r->rows = r->columns = origins[i].grid;
        r->n = origins[i].n;
        return VIC_OK;
    }
    if (strncmp(text, "origin:", 7) == 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "expected origin:800, origin:1600 or origin:3200, got '%s'", text);
    bool good = take_text(&at, "blocks:") && take_integer(&at, INT32_MAX, &rows) && take_text(&at, "x") &&
                take_integer(&at, INT32_MAX, &columns) && take_text(&at, ":") && parse_fields(&at, r) && *at == '\0';
    if (!good || rows == 0 || columns == 0 || (r->n >= 0) == (r->density >= 0))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "expected blocks:ROWSxCOLUMNS:n=COUNT or blocks:ROWSxCOLUMNS:density=0..1, then ,seed=N and "
                        ",block=SIZE as wanted; stopped at character %d of '%s'",
                        (int)(at - text) + 1, text);
    r->rows = (int64_t)rows;
    r->columns = (int64_t)columns;
    if (r->density >= 0) r->n = llround(r->density * (double)r->rows * (double)r->columns);
    return VIC_OK;
}

static vic_status check_request(const struct request *r, const char *text, vic_error *err)
{
    int64_t side = r->rows > r->columns ? r->rows : r->columns, grid = r->rows * r->columns;
    if (r->block < CLUSTER || r->block % CLUSTER != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: block: expected a multiple of %d, got %lld", text, CLUSTER,
                        (long long)r->block);
    if (side > MAX_ATOMS / r->block || grid > (int64_t)1 << 32)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: expected at most %d atoms on a side and 2^32 places for blocks, got %lld x %lld blocks",
                        text, MAX_ATOMS, (long long)r->rows, (long long)r->columns);
    if (r->n > grid)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected at most %lld blocks, as the grid has places, got %lld",
                        text, (long long)grid, (long long)r->n);
    return VIC_OK;
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Exactly n of the grid's places, every choice as likely as any other (Knuth's algorithm S): a place is taken with
 * the share of those still wanted among those still to come. */
static void choose(const struct request *r, int64_t *row_ptr, int32_t *column)
{
    uint64_t state = r->seed, left = (uint64_t)(r->rows * r->columns), wanted = (uint64_t)r->n;
    int64_t at = 0;
    row_ptr[0] = 0;
    for (int64_t i = 0; i < r->rows; i++) {
        for (int64_t j = 0; j < r->columns && wanted > 0; j++, left--) {
            /* 0 .. left - 1; both factors stay below 2^33, so the product of the upper half fits. */
            if (((splitmix64(&state) >> 32) * left) >> 32 < wanted) {
                column[at++] = (int32_t)j;
                wanted--;
            }
        }
        row_ptr[i + 1] = at;
    }
}

vic_status pattern_generate(const char *text, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct request r;
    int64_t *row_ptr = NULL;
    int32_t *column = NULL;
    *out = NULL;
    TRY(parse(text, &r, err));
    TRY(check_request(&r, text, err));
    TRY_GOTO(mem_array((size_t)r.rows + 1, sizeof *row_ptr, "block rows", &row_ptr, err), done);
    TRY_GOTO(mem_array((size_t)r.n, sizeof *column, "blocks", &column, err), done);
    choose(&r, row_ptr, column);
    const struct point_set queries = { .n = r.rows * r.block }, keys = { .n = r.columns * r.block };
    const struct block_mask mask = { r.block, row_ptr, column };
    st = pattern_from_blocks(&queries, r.rows == r.columns ? NULL : &keys, &mask, pool, out, err);
done:
    free(column);
    free(row_ptr);
    return st;
}
