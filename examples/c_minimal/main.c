/* SPDX-License-Identifier: Apache-2.0 */
/* Attention between the atoms of a structure file:  c_minimal FILE [CUTOFF]
 * With q = k = 0 every neighbour weighs the same: exp(lse) is the number of neighbours, and `out` the mean of their
 * v. Put your model's features in place of the arrays. */
#include <vicinal_structure.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 4, DIM = 64 };

static vic_error err;

/* Every call that can fail says why in err.text. */
static void ok(vic_status status)
{
    if (status == VIC_OK) return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static float *zeros(int64_t count)
{
    float *x = calloc((size_t)count, sizeof *x);
    if (!x) exit(1);
    return x;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE [CUTOFF]\n", argv[0]);
        return 2;
    }
    double cutoff = argc > 2 ? atof(argv[2]) : 8.0;
    vic_structure *structure;
    vic_context *context;
    vic_pattern *pattern;
    vic_plan *plan;
    vic_points points = VIC_INIT(vic_points);
    vic_plan_options shape = { .size = sizeof shape, .dtype = VIC_F32, .heads = HEADS, .head_dim = DIM };
    vic_attention_args args = VIC_INIT(vic_attention_args);

    /* The README shows the calls from here to vic_attention(). */
    ok(vic_structure_read(argv[1], NULL, &structure, &err));
    ok(vic_structure_points(structure, &points, &err));
    ok(vic_context_create(NULL, &context, &err));                                 /* where work runs: all threads */
    ok(vic_pattern_cutoff(context, &points, NULL, cutoff, NULL, &pattern, &err)); /* who is near whom */
    ok(vic_plan_create(context, pattern, &shape, &plan, &err)); /* made ready for this device and shape */

    vic_structure_info atoms = VIC_INIT(vic_structure_info);
    ok(vic_structure_get(structure, &atoms, &err));
    int64_t n = atoms.atoms;
    float *q = zeros(n * HEADS * DIM), *k = zeros(n * HEADS * DIM), *v = zeros(n * HEADS * DIM);
    float *out = zeros(n * HEADS * DIM), *lse = zeros(n * HEADS);
    for (int64_t i = 0; i < n * HEADS * DIM; i++) v[i] = atoms.atomic_numbers[i / (HEADS * DIM)];

    int64_t size[] = { n, HEADS, DIM };
    args.q = vic_tensor_make(q, VIC_F32, 3, size);
    args.k = vic_tensor_make(k, VIC_F32, 3, size);
    args.v = vic_tensor_make(v, VIC_F32, 3, size);
    args.out = vic_tensor_make(out, VIC_F32, 3, size);
    args.lse = vic_tensor_make(lse, VIC_F32, 2, size);
    ok(vic_attention(context, plan, &args, &err));

    vic_pattern_info pairs = VIC_INIT(vic_pattern_info);
    vic_plan_info chosen = VIC_INIT(vic_plan_info);
    ok(vic_pattern_get(pattern, &pairs, &err));
    ok(vic_plan_get(plan, &chosen, &err));
    printf("%lld atoms, %lld pairs within %g A, %s\n", (long long)n, (long long)pairs.pairs, cutoff, chosen.kernel);
    for (int64_t i = 0; i < n && i < 3; i++)
        printf("atom %lld: %.0f neighbours, mean atomic number %.3f\n", (long long)i, exp((double)lse[i * HEADS]),
               (double)out[i * HEADS * DIM]);

    vic_plan_free(plan);
    vic_pattern_free(pattern);
    vic_context_free(context);
    vic_structure_free(structure);
    free(q), free(k), free(v), free(out), free(lse);
    return 0;
}
