/* SPDX-License-Identifier: Apache-2.0 */
/* Problems at unrelated addresses in one launch have the bits of the same problems as a batch, and of each alone. */
#include "cases.h"

enum { TENSORS = 5, GAP = 200, POISON = 0xc5, GUARD = 256 };

struct placed {
    const struct kernel *kernel;
    struct problem *p;
    const struct tensor *tensors[TENSORS];
    unsigned char *memory, *expected; /* all tensors of all entries, with gaps in between */
    size_t bytes;
    size_t *at; /* [TENSORS * entries] where they begin */
};

static size_t span_of(const struct tensor *t)
{
    int64_t elements = (t->rows - 1) * t->view.row_stride + (t->heads - 1) * t->view.head_stride + t->d;
    return t->rows > 0 ? (size_t)elements * element_size(t->dtype) : 0;
}

/* Keys and values that a GPU reads where they are need 16 bytes; everything else only its type's. */
static size_t alignment_of(const struct placed *x, int tensor)
{
    bool straight = tested == VIC_CUDA && !x->p->args.q_rows && (tensor == 1 || tensor == 2);
    return straight ? 16 : element_size(x->tensors[tensor]->dtype);
}

/* Gives every tensor a place, in random order, so that neither sizes nor distances say which belong together. */
static void place(struct placed *x, uint64_t *state)
{
    int count = TENSORS * x->p->entries;
    int *order = brute_alloc(count, sizeof *order);
    x->at = brute_alloc(count, sizeof *x->at);
    for (int i = 0; i < count; i++) {
        int j = (int)(random_bits(state) % (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    for (int i = 0; i < count; i++) {
        int tensor = order[i] % TENSORS;
        size_t to = alignment_of(x, tensor);
        x->bytes = (x->bytes + random_bits(state) % GAP + to - 1) / to * to;
        x->at[order[i]] = x->bytes;
        x->bytes += span_of(x->tensors[tensor]);
    }
    x->bytes += GAP;
    free(order);
}

/* Inputs as they are, and results as the problem has them now. */
static void fill(struct placed *x)
{
    x->memory = brute_alloc((int64_t)x->bytes, 1);
    x->expected = brute_alloc((int64_t)x->bytes, 1);
    memset(x->memory, POISON, x->bytes);
    for (int i = 0; i < TENSORS * x->p->entries; i++) {
        struct tensor one = entry_of(x->tensors[i % TENSORS], i / TENSORS);
        if (i % TENSORS < 3) memcpy(x->memory + x->at[i], one.view.data, span_of(&one));
    }
    memcpy(x->expected, x->memory, x->bytes);
    for (int i = 0; i < TENSORS * x->p->entries; i++) {
        struct tensor one = entry_of(x->tensors[i % TENSORS], i / TENSORS);
        if (i % TENSORS < 3 || (i % TENSORS == 4 && !x->p->args.lse.data)) continue;
        for (int64_t row = 0; row < one.rows; row++)
            for (int head = 0; head < one.heads; head++) {
                const char *from = element_at(&one, row, head, 0);
                memcpy(x->expected + x->at[i] + (from - (char *)one.view.data), from,
                       (size_t)one.d * element_size(one.dtype));
            }
    }
}

static void run_items(struct placed *x, int threads)
{
    const struct problem *p = x->p;
    const bool gpu = x->kernel->device == VIC_CUDA;
    const struct plan_request request = request_of(p, x->kernel);
    struct kernel used_kernel = *x->kernel;
    vic_attention_item *items = brute_alloc(p->entries, sizeof *items);
    struct attention_args args = p->args;
    struct kernel_exec exec = { .pool = gpu ? NULL : pools[threads] };
    vic_plan *plan;
    vic_error err;
    if (prepare_instead && gpu) used_kernel.prepare = prepare_instead;
    CHECK_OK(plan_make(&p->pattern, &request, &used_kernel, &(struct kernel_setup){ .pool = pools[7] }, &plan, &err));
    unsigned char *base = gpu ? to_gpu(x->memory, x->bytes) : x->memory;
    for (int i = 0; i < p->entries; i++) {
        const size_t *at = x->at + (size_t)i * TENSORS;
        items[i] = (vic_attention_item){ base + at[0], base + at[1], base + at[2], base + at[3],
                                         args.lse.data ? base + at[4] : NULL };
    }
    struct attention_tensor *views[] = { &args.q, &args.k, &args.v, &args.out, &args.lse };
    args.items = items;
    args.batch = p->entries;
    for (int t = 0; t < TENSORS; t++) {
        void *const first[] = { items->q, items->k, items->v, items->out, items->lse };
        views[t]->data = first[t];
        views[t]->batch_stride = 0;
    }
    size_t used = x->kernel->workspace(plan, gpu ? 1 : threads, p->entries, true);
    size_t bytes = (used + GUARD + 63) / 64 * 64;
    unsigned char *guard = aligned_alloc(64, bytes);
    CHECK(guard != NULL, "out of memory");
    memset(guard, 0xff, bytes); /* NaNs: scratch must not be read before it is written */
    exec.workspace = gpu ? to_gpu(guard, bytes) : guard;
    CHECK_OK(x->kernel->launch(plan, &args, &exec, &err));
    if (gpu) {
        memset(items, 0xff, (size_t)p->entries * sizeof *items); /* the launch has taken what it needs */
        CHECK_OK(device_wait(the_gpu, NULL, &err));
        from_gpu(x->memory, base, x->bytes);
        from_gpu(guard, exec.workspace, bytes);
        device_free(the_gpu, base);
        device_free(the_gpu, exec.workspace);
    }
    for (size_t i = used; i < bytes; i++) CHECK(guard[i] == 0xff, "%s wrote behind its workspace", x->kernel->name);
    free(guard);
    free(items);
    plan_free(plan);
}

static void check_items(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    uint64_t state = 99;
    const int entries = p->entries;
    CHECK(kernel->features & FEATURE_ITEMS, "%s takes no items", kernel->name);
    launch(kernel, p, 2, 0);
    struct placed x = { .kernel = kernel, .p = p, .tensors = { &p->q, &p->k, &p->v, &p->out, &p->lse } };
    place(&x, &state);
    fill(&x);
    run_items(&x, 3);
    const bool same = memcmp(x.memory, x.expected, x.bytes) == 0;
    for (size_t i = 0; i < x.bytes && !same; i++)
        CHECK(x.memory[i] == x.expected[i], "%s, %d items: byte %zu of %zu is not that of the batch", kernel->name,
              entries, i, x.bytes);
    /* And the batch has the bits of lone problems. */
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    bool *all = brute_alloc(p->pattern.n_q, sizeof *all);
    for (int64_t row = 0; row < p->pattern.n_q; row++) all[row] = true;
    for (int i = 0; i < entries; i += small() ? entries : entries / 3 + 1) {
        p->first_entry = i;
        p->entries = 1;
        launch(kernel, p, 1, 0x3a);
        if (p->args.lse.data)
            check_rows_kept(p, out, lse, all, "alone");
        else
            check_rows_kept(p, out, p->lse.buffer, all, "alone");
    }
    p->first_entry = 0;
    p->entries = entries;
    free(all);
    free(out);
    free(lse);
    free(x.at);
    free(x.memory);
    free(x.expected);
}

void test_items_at_unrelated_addresses(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "two items", .n_q = 130, .n_k = -1, .box = 10, .cutoff = 5, .batch = 2 },
        { .name = "one item", .n_q = 70, .n_k = -1, .box = 8, .cutoff = 5, .batch = 1 },
        { .name = "many small items", .n_q = 40, .n_k = -1, .box = 7, .cutoff = 4, .batch = 70, .heads = 1 },
        { .name = "items, pattern order",
          .n_q = 150,
          .n_k = -1,
          .box = 11,
          .cutoff = 5,
          .batch = 5,
          .d_qk = 64,
          .pattern_order = true },
        { .name = "many items, pattern order",
          .n_q = 90,
          .n_k = 120,
          .box = 9,
          .cutoff = 4,
          .batch = 67,
          .heads = 2,
          .pattern_order = true,
          .no_lse = true },
        { .name = "items, padded, fewer key heads",
          .n_q = 200,
          .n_k = 170,
          .box = 12,
          .cutoff = 5,
          .heads = 4,
          .kv_heads = 2,
          .d_qk = 40,
          .d_v = 72,
          .batch = 3,
          .layout = PADDED },
        { .name = "items, padded, pattern order",
          .n_q = 160,
          .n_k = -1,
          .box = 11,
          .cutoff = 5,
          .heads = 6,
          .kv_heads = 3,
          .d_qk = 128,
          .batch = 7,
          .layout = PADDED,
          .pattern_order = true },
        { .name = "items, heads first, no lse",
          .n_q = 600,
          .n_k = -1,
          .box = 18,
          .cutoff = 6,
          .d_qk = 64,
          .batch = 4,
          .layout = HEADS_ATOMS,
          .built = true,
          .no_lse = true },
        { .name = "items, packed", .n_q = 100, .n_k = -1, .box = 9, .cutoff = 4, .batch = 4, .layout = PACKED_QKV },
    };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int t = first_type(); t < TYPES; t++) {
            if (small() && (t > first_type() || cases[i].n_q > 300)) continue;
            struct attention_case c = cases[i];
            struct problem p;
            c.dtype = types[t];
            make_problem(&c, 6700 + i, &p);
            for_each_kernel(&p.shape, check_items, &p);
            free_problem(&p);
        }
}
