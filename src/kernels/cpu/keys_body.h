/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a strip, a part of attention_body.h: which ones, chunk by chunk, and their rows of K and V. */

/* ---- Chunks of keys ---------------------------------------------------------------------------------------- */

struct cursor {
    int64_t run, partial;
    int32_t taken; /* clusters of the run that are done */
};

static void add_block(struct key_list *list, int32_t cluster, int32_t image, const uint64_t bits[CLUSTER])
{
    int slots = list->slots;
    for (int key = 0; key < CLUSTER; key++) {
        uint64_t word = bits[key];
        list->rows[slots] = cluster * CLUSTER + key;
        list->images[slots] = image;
        for (int g = 0; g < GROUPS; g++) {
            uint16_t part = (uint16_t)(word >> (GROUP * g));
            list->keys[g][list->key_count[g]] = (struct group_key){ (uint16_t)slots, part };
            list->key_count[g] += part != 0;
        }
        slots += word != 0;
    }
    list->slots = slots;
}

/* The strip's next keys; none when there are no more. */
static void next_chunk(const struct vic_pattern *p, int64_t strip, struct cursor *at, struct key_list *list)
{
    static const struct block_bits full = BLOCK_BITS_ALL;
    list->slots = 0;
    memset(list->key_count, 0, sizeof list->key_count);
    while (list->slots <= CHUNK - CLUSTER) {
        if (at->run < p->full_ptr[strip + 1]) {
            const struct full_run *run = &p->full_runs[at->run];
            add_block(list, run->first + at->taken, run->image, full.key);
            if (++at->taken == run->count) {
                at->run++;
                at->taken = 0;
            }
        } else if (at->partial < p->partial_ptr[strip + 1]) {
            add_block(list, p->partial_cluster[at->partial], p->partial_image[at->partial],
                      p->partial_bits[at->partial].key);
            at->partial++;
        } else {
            break;
        }
    }
    /* No lane takes a padding key's score; it only has to be readable. */
    for (int g = 0; g < GROUPS; g++)
        for (int pad = 0; pad < KEY_PAD; pad++) list->keys[g][list->key_count[g] + pad] = (struct group_key){ 0, 0 };
}

/* ---- The caller's memory ----------------------------------------------------------------------------------- */

static void convert(int n, vic_dtype dtype, const void *from, float *restrict to)
{
    const uint16_t *half = from;
    if (dtype == VIC_F32)
        memcpy(to, from, (size_t)n * sizeof(float));
    else if (dtype == VIC_F16)
        for (int i = 0; i < n; i++) to[i] = f32_from_f16(half[i]);
    else
        for (int i = 0; i < n; i++) to[i] = f32_from_bf16(half[i]);
}

static void *row_of(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head)
{
    int64_t element = row * t->row_stride + head * t->head_stride;
    return (char *)t->data + element * (dtype == VIC_F32 ? 4 : 2);
}

static int64_t tensor_row(const struct attention_args *a, int32_t key_row)
{
    return a->k_rows ? a->k_rows[key_row] : key_row;
}

/* Where the chunk's rows of K and V are, as float32: the caller's own, or converted, once for all groups and heads.
 */
static void find_rows(const struct cpu_run *run, const struct key_list *list, int kv_head, struct strip_scratch *s)
{
    const struct attention_args *a = run->args;
    const struct attention_shape *shape = run->shape;
    for (int slot = 0; slot < list->slots; slot++) {
        int64_t row = tensor_row(a, list->rows[slot]);
        const void *k = row_of(&a->k, shape->dtype, row, kv_head), *v = row_of(&a->v, shape->dtype, row, kv_head);
        if (shape->dtype == VIC_F32) {
            s->k_row[slot] = k;
            s->v_row[slot] = v;
        } else {
            float *k_float = s->k_float + (size_t)slot * (size_t)shape->d_qk;
            float *v_float = s->v_float + (size_t)slot * (size_t)shape->d_v;
            convert(shape->d_qk, shape->dtype, k, k_float);
            convert(shape->d_v, shape->dtype, v, v_float);
            s->k_row[slot] = k_float;
            s->v_row[slot] = v_float;
        }
    }
}

/* What will be gathered next is asked for while this is computed, a few rows with each step of scores. */
static void plan_ahead(const struct cpu_run *run, const struct key_list *now, const struct key_list *next,
                       int kv_head, struct strip_scratch *s)
{
    int steps = 0;
    for (int g = 0; g < GROUPS; g++) steps += (now->key_count[g] + STEP_KEYS - 1) / STEP_KEYS;
    steps *= run->shape->heads / run->shape->kv_heads;
    s->ahead = (struct rows_ahead){ next, kv_head, 0, steps ? (next->slots + steps - 1) / steps : 0 };
}

INLINE void prefetch_row(const char *row, int bytes)
{
    for (int at = 0; at < bytes; at += 64) __builtin_prefetch(row + at, 0, 2);
}

INLINE void fetch_ahead(const struct cpu_run *run, struct rows_ahead *ahead)
{
    const struct attention_args *a = run->args;
    const struct attention_shape *shape = run->shape;
    int item = shape->dtype == VIC_F32 ? 4 : 2, end = ahead->slot + ahead->per_step;
    if (end > ahead->list->slots) end = ahead->list->slots;
    for (; ahead->slot < end; ahead->slot++) {
        int64_t row = tensor_row(a, ahead->list->rows[ahead->slot]);
        prefetch_row(row_of(&a->k, shape->dtype, row, ahead->kv_head), shape->d_qk * item);
        prefetch_row(row_of(&a->v, shape->dtype, row, ahead->kv_head), shape->d_v * item);
    }
}

/* Transposes the strip's queries, so that a vector holds one element of 16 rows.  Rows past the end are 0. */
static void load_queries(const struct cpu_run *run, int64_t strip, struct strip_scratch *s)
{
    const struct attention_args *a = run->args;
    int d = run->shape->d_qk;
    float row_values[DIM_MAX] = { 0 };
    for (int head = 0; head < run->shape->heads; head++) {
        float *query = s->query + (size_t)head * STRIP * (size_t)d;
        for (int r = 0; r < STRIP; r++) {
            int64_t row = strip * STRIP + r;
            if (row < run->pattern->n_q) {
                int64_t at = a->q_rows ? a->q_rows[row] : row;
                convert(d, run->shape->dtype, row_of(&a->q, run->shape->dtype, at, head), row_values);
            } else {
                memset(row_values, 0, sizeof row_values);
            }
            float *to = query + (size_t)(r / GROUP) * (size_t)d * GROUP + r % GROUP;
            for (int c = 0; c < d; c++) to[c * GROUP] = row_values[c];
        }
    }
}
