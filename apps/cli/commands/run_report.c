/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/run.h"
#include "numbers.h"
#include "text.h"

#include <stdio.h>

struct rates {
    double gpairs, useful, computed; /* 10^9 pairs a second, 10^12 operations a second */
};

static struct rates rates_of(const struct run_options *r, const struct pattern_built *b, const struct run_result *out)
{
    double flops = 2.0 * r->heads * (r->head_dim + r->head_dim_v) / out->attention_seconds / 1e12;
    double pairs = (double)b->info.pairs;
    struct rates rates = { pairs * r->heads / out->attention_seconds / 1e9, pairs * flops,
                           (double)out->info.computed_pairs * flops };
    return rates;
}

static const char *device_text(vic_device device, char out[32])
{
    if (device.type == VIC_CPU) return "cpu";
    snprintf(out, 32, "cuda:%d", device.index);
    return out;
}

void run_check_json(struct json *j, const char *key, const char *kernel, const struct run_check *check)
{
    json_put_object(j, key);
    if (kernel) json_put_text(j, "kernel", kernel);
    json_put_int(j, "rows", check->rows);
    json_put_real(j, "relative_frobenius", check->relative_frobenius);
    json_put_int(j, "worst_row", check->worst_row);
    json_put_real(j, "worst_row_error", check->worst_row_error);
    json_put_real(j, "lse_max_error", check->lse_max_error);
    json_put_int(j, "count_mismatches", check->count_mismatches);
    json_put_bool(j, "pass", check->pass);
    json_put_object_end(j);
}

vic_status run_json(const struct run_options *r, const struct pattern_built *b, const struct run_result *out,
                    vic_error *err)
{
    struct rates rates = rates_of(r, b, out);
    struct json j = { 0 };
    char text[32];
    vic_status st;
    json_put_object(&j, NULL);
    pattern_json(&j, &r->pattern, b);
    json_put_text(&j, "device", device_text(out->info.device, text));
    json_put_text(&j, "kernel", out->info.kernel);
    json_put_int(&j, "threads", out->threads);
    json_put_int(&j, "heads", r->heads);
    json_put_int(&j, "kv_heads", r->kv_heads);
    json_put_int(&j, "head_dim", r->head_dim);
    json_put_int(&j, "head_dim_v", r->head_dim_v);
    json_put_text(&j, "dtype", vic_dtype_name(r->dtype));
    run_tensors_json(&j, r);
    if (r->radial)
        json_put_text(&j, "radial", r->radial);
    else
        json_put_null(&j, "radial");
    json_put_object(&j, "seconds");
    pattern_json_seconds(&j, b);
    json_put_real(&j, "plan", out->plan_seconds);
    json_put_real(&j, "attention", out->attention_seconds);
    json_put_object_end(&j);
    json_put_int(&j, "computed_pairs", out->info.computed_pairs);
    json_put_real(&j, "gpairs_per_second", rates.gpairs);
    json_put_real(&j, "tflops_computed", rates.computed);
    json_put_real(&j, "tflops_useful", rates.useful);
    snprintf(text, sizeof text, "crc32:%08x", out->checksum);
    json_put_text(&j, "checksum", text);
    if (r->check) run_check_json(&j, "check", NULL, &out->check);
    if (out->twin.rows > 0) run_check_json(&j, "check_cpu", out->twin_kernel, &out->twin);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void check_text(const struct run_check *c, int64_t atoms)
{
    text_row("rows", "%s%s", count_text(c->rows).s, c->rows < atoms ? ", sampled" : ", all");
    text_row("relative error", "%s (Frobenius; at most %s)", real_text(c->relative_frobenius, 3).s,
             real_text(c->bound, 2).s);
    text_row("worst row", "atom %s: %s", count_text(c->worst_row).s, real_text(c->worst_row_error, 3).s);
    text_row("LSE", "largest error %s", real_text(c->lse_max_error, 3).s);
}

void run_text(const struct run_options *r, const struct pattern_built *b, const struct run_result *out)
{
    struct rates rates = rates_of(r, b, out);
    char device[32], inputs[600];
    pattern_text(&r->pattern, b);
    text_title("attention");
    text_row("kernel", "%s on %s, %s", out->info.kernel, device_text(out->info.device, device),
             counted(out->threads, "thread").s);
    run_tensors_text(r, inputs, sizeof inputs);
    text_row("tensors", "%s (%d of keys) x %d, values x %d, %s, %s", counted(r->heads, "head").s, r->kv_heads,
             r->head_dim, r->head_dim_v, vic_dtype_name(r->dtype), inputs);
    if (r->radial) text_row("radial term", "%s", r->radial);
    text_row("plan", "%s", seconds_text(out->plan_seconds).s);
    text_row("attention", "%s%s", seconds_text(out->attention_seconds).s, r->repeat > 1 ? " (the best run)" : "");
    text_row("rate", "%s Gpairs/s   %s TFLOP/s useful   %s TFLOP/s computed", real_text(rates.gpairs, 3).s,
             real_text(rates.useful, 3).s, real_text(rates.computed, 3).s);
    text_row("computed pairs", "%s a head, %s a useful one", count_text(out->info.computed_pairs).s,
             real_text(b->info.pairs ? (double)out->info.computed_pairs / (double)b->info.pairs : 0.0, 3).s);
    text_row("checksum", "crc32:%08x", out->checksum);
    if (r->out) text_row("written to", "%s", r->out);
    if (!r->check) return;
    text_title("check against the float64 reference");
    check_text(&out->check, b->info.n_q);
    text_row("counts", "%s %s from the pattern", counted(out->check.count_mismatches, "row").s,
             out->check.count_mismatches == 1 ? "differs" : "differ");
    text_verdict(out->check.pass, "verdict");
    if (out->twin.rows == 0) return;
    text_title("check against %s", out->twin_kernel);
    check_text(&out->twin, b->info.n_q);
    text_verdict(out->twin.pass, "verdict");
}

vic_status run_check_failed(const struct run_result *r, vic_error *err)
{
    const struct run_check *c = r->check.pass ? &r->twin : &r->check;
    return fail(err, VIC_FAILED,
                "the result differs from %s: relative error %.3g (at most %.3g), worst row "
                "%.3g at atom %lld, LSE %.3g, %lld counts differ",
                r->check.pass ? r->twin_kernel : "the reference", c->relative_frobenius, c->bound, c->worst_row_error,
                (long long)c->worst_row, c->lse_max_error, (long long)c->count_mismatches);
}
