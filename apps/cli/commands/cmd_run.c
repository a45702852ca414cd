/* SPDX-License-Identifier: Apache-2.0 */
#include "arrays/tensor_io.h"
#include "commands/metadata.h"
#include "commands/run.h"
#include "files.h"
#include "progress.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { RUN_OPTIONS = 3, DATA_OPTIONS = 5 };

/* ---- options ---- */

static void run_rows(struct run_options *r, struct option rows[RUN_OPTIONS], struct option data[DATA_OPTIONS])
{
    const struct option all[RUN_OPTIONS] = {
        { "--radial", "TERM",
          "add b(d) to the scores: linear:SLOPE, gaussian:CENTER,WIDTH[,HEIGHT], cosine, polynomial[:P], sums "
          "(linear:-0.5+cosine), or FILE.npy [points] or [heads, points]",
          OPTION_INPUT, &r->radial, 0, 0, NULL, NULL },
        { "--repeat", "N", "run N times and report the best; default 1", OPTION_INT, &r->repeat, 1, 1000000, NULL,
          NULL },
        { "--check", NULL,
          "compare rows with the float64 reference, and all with the best CPU kernel where another one ran; exit "
          "code 1 when it fails",
          OPTION_FLAG, &r->check, 0, 0, NULL, NULL },
    };
    const struct option files[DATA_OPTIONS] = {
        { "--q", "FILE",
          "queries: FILE.npy, FILE.safetensors or FILE.safetensors:NAME, [atoms, heads, head size]; with --k and "
          "--v, or none of the three, which are then random",
          OPTION_INPUT, &r->input[0], 0, 0, NULL, NULL },
        { "--k", "FILE", "keys, likewise", OPTION_INPUT, &r->input[1], 0, 0, NULL, NULL },
        { "--v", "FILE", "values, likewise", OPTION_INPUT, &r->input[2], 0, 0, NULL, NULL },
        { "-o", "FILE", "write the result, in the file's atom order: .npy or .safetensors", OPTION_OUTPUT, &r->out, 0,
          0, ".npy|.safetensors", NULL },
        { "--lse", NULL, "write the log-sum-exp too (with -o FILE.safetensors)", OPTION_FLAG, &r->lse, 0, 0, NULL,
          NULL },
    };
    memcpy(rows, all, sizeof all);
    memcpy(data, files, sizeof files);
}

static vic_status run_verify(struct run_options *r, vic_error *err)
{
    enum tensor_format format;
    TRY(run_tensors_look(r, err));
    attention_options_complete(r);
    run_tensors_room(r, 1);
    if (r->lse && !r->out)
        return fail(err, VIC_BAD_ARGUMENT, "--lse writes into the result: give -o FILE.safetensors too");
    if (!r->out) return VIC_OK;
    format = tensor_format(r->out, strlen(r->out));
    if (format == FORMAT_NPY && r->lse)
        return fail(err, VIC_BAD_ARGUMENT, "--lse: .npy holds one array only; write -o FILE.safetensors");
    if (format == FORMAT_NPY && !npy_type(r->dtype))
        return fail(err, VIC_BAD_ARGUMENT,
                    "-o: .npy has no bfloat16; write -o FILE.safetensors, or run in --dtype float32");
    return VIC_OK;
}

/* ---- the run ---- */

static vic_status make_outputs(const struct run_options *r, int64_t atoms, struct run_result *out, vic_error *err)
{
    out->out = (struct array){ r->dtype, 3, { atoms, r->heads, r->head_dim_v }, 0, NULL };
    out->lse = (struct array){ VIC_F32, 2, { atoms, r->heads }, 0, NULL };
    if (!array_bytes(3, out->out.shape, vic_dtype_size(r->dtype), &out->out.bytes) ||
        !array_bytes(2, out->lse.shape, sizeof(float), &out->lse.bytes))
        return fail(err, VIC_NO_MEMORY, "a result of this many atoms and heads does not fit this machine");
    TRY(allocate((int64_t)out->out.bytes, 1, "the result", &out->out.data, err));
    return allocate((int64_t)out->lse.bytes, 1, "the log-sum-exp", &out->lse.data, err);
}

static vic_tensor as_tensor(const struct array *a)
{
    return vic_tensor_make(a->data, a->dtype, a->ndim, a->shape);
}

/* The best of --repeat runs. */
static vic_status repeat(const struct run_options *r, struct run_result *out, const vic_attention_args *args,
                         vic_error *err)
{
    progress_phase("attention");
    out->attention_seconds = HUGE_VAL;
    for (int i = 0; i < r->repeat; i++) {
        double start = seconds_now();
        TRY(run_attention(out, args, err));
        out->attention_seconds = fmin(out->attention_seconds, seconds_now() - start);
    }
    return VIC_OK;
}

/* The workspace is taken before, so that no run pays for it. */
static vic_status attend_on_cpu(const struct run_options *r, struct run_result *out, const vic_attention_args *given,
                                vic_error *err)
{
    vic_attention_args args = *given;
    const vic_device cpu = { VIC_CPU, 0 };
    vic_status st;
    TRY(vic_plan_workspace(out->context, out->plan, 1, &args.workspace_size, err));
    TRY(vic_memory_alloc(cpu, args.workspace_size, &args.workspace, err));
    st = repeat(r, out, &args, err);
    vic_memory_free(cpu, args.workspace);
    return st;
}

/* Copies to and from the GPU are not in the time. */
static vic_status attend_on_gpu(const struct run_options *r, struct run_result *out, const vic_attention_args *given,
                                vic_error *err)
{
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_device device = out->info.device;
    vic_status st;
    args.scale = given->scale;
    TRY_GOTO(run_device_open(out, device, 1, &args, err), done);
    TRY_GOTO(repeat(r, out, &args, err), done);
    TRY_GOTO(run_device_fetch(out, &args, err), done);
done:
    run_device_close(device, &args);
    return st;
}

static vic_status attend(const struct run_options *r, struct run_result *out, const vic_attention_args *args,
                         vic_error *err)
{
    if (out->info.device.type == VIC_CUDA)
        TRY(attend_on_gpu(r, out, args, err));
    else
        TRY(attend_on_cpu(r, out, args, err));
    out->checksum = (uint32_t)crc32_z(0, out->out.data, out->out.bytes);
    return VIC_OK;
}

static vic_status compute(const struct run_options *r, struct pattern_built *built, struct run_result *out,
                          vic_error *err)
{
    vic_attention_args args = VIC_INIT(vic_attention_args);
    vic_plan_options plan;
    int64_t atoms = built->info.n_q;
    /* The plan first: it refuses what no kernel does before anything large is made. */
    TRY(attention_plan(r, false, built, out, err));
    progress_phase("making the tensors");
    TRY(run_tensors_make(r, atoms, built->info.n_k, out, err));
    TRY(make_outputs(r, atoms, out, err));
    /* --check may take rows by it */
    if (r->seed && r->input[0] && !r->check)
        notes_add(&built->notes, "--seed was not used: q, k and v are from files.");
    args.q = as_tensor(&out->q);
    args.k = as_tensor(&out->k);
    args.v = as_tensor(&out->v);
    args.out = as_tensor(&out->out);
    args.lse = as_tensor(&out->lse);
    args.scale = r->scale;
    if (r->radial) args.bias = as_tensor(&out->bias);
    TRY(attend(r, out, &args, err));
    if (r->check) {
        struct run_problem problem = { out->context, out->plan, built->pattern, args,     NULL,
                                       atoms,        r->heads,  r->head_dim_v,  r->dtype, r->seed };
        progress_phase("checking against the reference");
        TRY(run_check(&problem, &out->check, err));
        plan = attention_plan_options(r);
        progress_phase("checking against another kernel");
        TRY(run_check_twin(&problem, &plan, &out->twin, &out->twin_kernel, err));
    }
    return VIC_OK;
}

static vic_status write_result(const struct run_options *r, const struct pattern_built *built,
                               const struct run_result *out, vic_error *err)
{
    struct json metadata = { 0 };
    vic_status st;
    progress_phase("writing the result");
    if (tensor_format(r->out, strlen(r->out)) == FORMAT_NPY) {
        struct npz_member member = { "out", npy_type(r->dtype), 3, { 0 }, vic_dtype_size(r->dtype), out->out.data };
        memcpy(member.shape, out->out.shape, sizeof member.shape);
        return npy_write(r->out, &member, err);
    }
    struct safetensors_member members[2] = { { "out", r->dtype, 3, { 0 }, out->out.data },
                                             { "lse", VIC_F32, 2, { 0 }, out->lse.data } };
    memcpy(members[0].shape, out->out.shape, sizeof members[0].shape);
    memcpy(members[1].shape, out->lse.shape, sizeof members[1].shape);
    st = metadata_of_run(&metadata, r, built, out, err);
    if (st == VIC_OK) st = safetensors_write(r->out, metadata.text.data, members, r->lse ? 2 : 1, err);
    json_free(&metadata);
    return st;
}

static const char notes[] =
    "Heads, head sizes and type are those of the tensors given; nothing is rounded.  Rows are "
    "in the atom order of the\nstructure as read.  `--check` compares all rows of up to "
    "4,096 atoms, else 512 rows spread over the structure,\nwith float64; where another "
    "kernel than the CPU's best ran, as on a GPU, all rows of all sizes with that one.\n\n"
    "In place of a structure FILE may be a pattern or what else `vicinal pattern --help` names at its end.";

vic_status cmd_run(int argc, char **argv, vic_error *err)
{
    struct run_options r = { .repeat = 1 };
    struct option pattern_rows[PATTERN_OPTIONS], structure_rows[STRUCTURE_OPTIONS],
        attention_rows[ATTENTION_OPTIONS + RUN_OPTIONS];
    struct option data_rows[DATA_OPTIONS], output_rows[OUTPUT_OPTIONS];
    const struct option_group groups[] = { { "Pattern", pattern_rows, PATTERN_OPTIONS },
                                           { "Attention", attention_rows, ATTENTION_OPTIONS + RUN_OPTIONS },
                                           { "Tensors", data_rows, DATA_OPTIONS },
                                           { "Structure", structure_rows, STRUCTURE_OPTIONS },
                                           { "Output", output_rows, OUTPUT_OPTIONS } };
    const struct syntax syntax = {
        "run",
        "FILE",
        "Softmax attention between the atoms of a structure, over exactly the pairs nearer than "
        "the cutoff.",
        notes,
        groups,
        5
    };
    struct pattern_built built = { 0 };
    struct run_result result = { 0 };
    bool helped;
    vic_status st;
    attention_options_init(&r);
    pattern_options_rows(&r.pattern, pattern_rows);
    structure_options_rows(&r.pattern.structure, structure_rows);
    output_options_rows(&r.pattern.structure, output_rows);
    attention_options_rows(&r, attention_rows);
    run_rows(&r, attention_rows + ATTENTION_OPTIONS, data_rows);
    TRY(options_read(&syntax, argc, argv, &r.pattern.file, &helped, err));
    if (helped) return VIC_OK;
    TRY(run_verify(&r, err));
    TRY(files_probe(&syntax, err));
    TRY_GOTO(attention_context(&r, &result, err), done);
    TRY_GOTO(pattern_open(result.context, &r.pattern, &built, err), done);
    if (r.radial) TRY_GOTO(run_radial_make(r.radial, built.info.cutoff, r.heads, &result.bias, err), done);
    TRY_GOTO(compute(&r, &built, &result, err), done);
    if (r.out) TRY_GOTO(write_result(&r, &built, &result, err), done);
    progress_end();
    if (r.pattern.structure.json)
        TRY_GOTO(run_json(&r, &built, &result, err), done);
    else
        run_text(&r, &built, &result);
    if (r.check && (!result.check.pass || (result.twin.rows > 0 && !result.twin.pass))) {
        TRY_GOTO(text_end(err), done);
        st = run_check_failed(&result, err);
    }
done:
    vic_plan_free(result.plan);
    vic_context_free(result.context);
    array_free(&result.bias);
    array_free(&result.lse);
    array_free(&result.out);
    array_free(&result.v);
    array_free(&result.k);
    array_free(&result.q);
    pattern_close(&built);
    return st;
}
