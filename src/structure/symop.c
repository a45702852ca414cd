/* SPDX-License-Identifier: Apache-2.0 */
#include "structure/symop.h"

#include "structure/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void skip_blanks(struct piece *p)
{
    while (p->length && (*p->text == ' ' || *p->text == '\t')) ++p->text, --p->length;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and points at the front, as a number. */
static bool take_number(struct piece *p, double *value)
{
    struct piece digits = { p->text, 0 };
    while (p->length && (is_digit(*p->text) || *p->text == '.')) ++p->text, --p->length, ++digits.length;
    skip_blanks(p);
    return number_read(digits.text, digits.length, 0, value);
}

static bool take_letter(struct piece *p, int *axis)
{
    char c = p->length ? (char)(*p->text | 0x20) : 0;
    if (c < 'x' || c > 'z') return false;
    *axis = c - 'x';
    ++p->text, --p->length;
    skip_blanks(p);
    return true;
}

/* One signed term: 1/2, .5, x, x/2, 2x, 2*x, 1/2*x. */
static bool take_term(struct piece *p, double sign, double rotation[3], double *translation)
{
    double value = 1, divisor;
    int axis = -1;
    bool number = p->length && (is_digit(*p->text) || *p->text == '.');
    if (number && !take_number(p, &value)) return false;
    if (!number && !take_letter(p, &axis)) return false;
    if (p->length && *p->text == '/') {
        ++p->text, --p->length;
        skip_blanks(p);
        if (!take_number(p, &divisor) || !(divisor > 0)) return false;
        value /= divisor;
    }
    if (number && p->length && *p->text == '*') {
        ++p->text, --p->length;
        skip_blanks(p);
        if (!take_letter(p, &axis)) return false;
    } else if (number) {
        take_letter(p, &axis);
    }
    *(axis < 0 ? translation : &rotation[axis]) += sign * value;
    return true;
}

static bool read_part(struct piece p, double rotation[3], double *translation)
{
    double nearest;
    bool first = true;
    skip_blanks(&p);
    for (; p.length; first = false) {
        double sign = 1;
        if (*p.text == '+' || *p.text == '-') {
            sign = *p.text == '-' ? -1 : 1;
            ++p.text, --p.length;
            skip_blanks(&p);
        } else if (!first) {
            return false;
        }
        if (!take_term(&p, sign, rotation, translation)) return false;
    }
    for (int i = 0; i < 3; ++i) {
        if (rotation[i] != nearbyint(rotation[i]) || fabs(rotation[i]) > 3) return false;
    }
    nearest = nearbyint(24 * *translation) / 24;
    if (fabs(nearest - *translation) <= 1e-3) *translation = nearest;
    return !first && fabs(*translation) < 1e3;
}

bool symop_read(struct piece text, struct expand_operation *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 3; ++i) {
        struct piece part = text;
        const char *comma = text.length ? memchr(text.text, ',', text.length) : NULL;
        if (!comma != (i == 2)) return false;
        if (comma) {
            part.length = (size_t)(comma - text.text);
            text.length -= part.length + 1;
            text.text = comma + 1;
        }
        part = piece_trim(part);
        if (!read_part(part, out->rotation[i], &out->translation[i])) return false;
    }
    return true;
}

/* Equal up to a lattice translation. */
static bool same(const struct expand_operation *a, const struct expand_operation *b)
{
    for (int i = 0; i < 3; ++i) {
        double t = a->translation[i] - b->translation[i];
        for (int j = 0; j < 3; ++j)
            if (a->rotation[i][j] != b->rotation[i][j]) return false;
        if (fabs(t - nearbyint(t)) > 2e-3) return false;
    }
    return true;
}

static int find(const struct expand_operation *list, int count, const struct expand_operation *wanted)
{
    int i = 0;
    while (i < count && !same(&list[i], wanted)) ++i;
    return i;
}

static struct expand_operation product(const struct expand_operation *a, const struct expand_operation *b)
{
    struct expand_operation p;
    for (int i = 0; i < 3; ++i) {
        p.translation[i] = a->translation[i];
        for (int j = 0; j < 3; ++j) {
            p.translation[i] += a->rotation[i][j] * b->translation[j];
            p.rotation[i][j] = a->rotation[i][0] * b->rotation[0][j] + a->rotation[i][1] * b->rotation[1][j] +
                               a->rotation[i][2] * b->rotation[2][j];
        }
    }
    return p;
}

void symop_arrange(struct expand_operation *list, int *count, char *problem, size_t problem_size)
{
    struct expand_operation identity = { { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, { 0, 0, 0 } };
    int kept = 0, at;
    for (int i = 0; i < *count; ++i)
        if (find(list, kept, &list[i]) == kept) list[kept++] = list[i];
    *count = 0;
    at = find(list, kept, &identity);
    if (at == kept) {
        snprintf(problem, problem_size, "expected x, y, z among the symmetry operations, found %d without it", kept);
        return;
    }
    memmove(list + 1, list, (size_t)at * sizeof *list);
    list[0] = identity;
    for (int i = 1; i < kept; ++i)
        for (int j = 1; j < kept; ++j) {
            struct expand_operation p = product(&list[i], &list[j]);
            if (find(list, kept, &p) < kept) continue;
            snprintf(problem, problem_size,
                     "expected symmetry operations that make a group, found %d in which the product of two is "
                     "missing",
                     kept);
            return;
        }
    *count = kept;
}
