# SPDX-License-Identifier: Apache-2.0
"""What the C headers declare, for ctypes.  Written by tools/c_header.py: change those instead."""
import ctypes as c


class Sized(c.Structure):
    """Begins with its size, which is filled in."""

    def __init__(self, **members):
        super().__init__(size=c.sizeof(self), **members)


class vic_error(c.Structure):
    _fields_ = [
        ("status", c.c_int),
        ("text", c.c_char * 1024),
    ]


class vic_device(c.Structure):
    _fields_ = [
        ("type", c.c_int),
        ("index", c.c_int32),
    ]


class vic_tensor(c.Structure):
    _fields_ = [
        ("data", c.c_void_p),
        ("device", vic_device),
        ("dtype", c.c_int),
        ("ndim", c.c_int32),
        ("shape", c.c_int64 * 6),
        ("stride", c.c_int64 * 6),
    ]


class vic_context_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("threads", c.c_int32),
        ("reserved_1", c.c_int32),
        ("stream", c.c_void_p),
        ("allocate", c.c_void_p),
        ("release", c.c_void_p),
        ("log", c.c_void_p),
        ("user", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_context_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("threads", c.c_int32),
        ("reserved_1", c.c_int32),
        ("stream", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_points(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("n", c.c_int64),
        ("positions", vic_tensor),
        ("mask", vic_tensor),
        ("ids", vic_tensor),
        ("cell", c.c_void_p),
        ("periodic", c.c_void_p),
        ("group_offsets", c.c_void_p),
        ("groups", c.c_int64),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_pattern_estimate(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("pairs", c.c_double),
        ("bytes", c.c_double),
        ("cutoff", c.c_double),
        ("fitting_cutoff", c.c_double),
        ("refused", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_pattern_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("max_bytes", c.c_size_t),
        ("estimate", c.c_void_p),
        ("exclude_self", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_block_list(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("block", c.c_int64),
        ("row_ptr", c.c_void_p),
        ("column", c.c_void_p),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_pair_list(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("query", vic_tensor),
        ("key", vic_tensor),
        ("shift", vic_tensor),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_range_list(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("groups", c.c_int64),
        ("query_offsets", c.c_void_p),
        ("range_offsets", c.c_void_p),
        ("ranges", c.c_void_p),
        ("left", c.c_int64),
        ("right", c.c_int64),
        ("causal", c.c_bool),
        ("window", c.c_bool),
        ("reserved_1", c.c_bool * 6),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_page_list(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("groups", c.c_int64),
        ("page", c.c_int64),
        ("query_offsets", c.c_void_p),
        ("lengths", c.c_void_p),
        ("table", c.c_void_p),
        ("table_stride", c.c_int64),
        ("left", c.c_int64),
        ("right", c.c_int64),
        ("queries_per_place", c.c_int64),
        ("causal", c.c_bool),
        ("window", c.c_bool),
        ("reserved_1", c.c_bool * 6),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_pattern_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("n_q", c.c_int64),
        ("n_k", c.c_int64),
        ("pairs", c.c_int64),
        ("max_pairs", c.c_int64),
        ("boundary_pairs", c.c_int64),
        ("strips", c.c_int64),
        ("clusters", c.c_int64),
        ("blocks", c.c_int64),
        ("full_blocks", c.c_int64),
        ("groups", c.c_int64),
        ("bytes", c.c_size_t),
        ("cutoff", c.c_double),
        ("seconds_order", c.c_double),
        ("seconds_build", c.c_double),
        ("kind", c.c_char_p),
        ("cell", c.c_double * 9),
        ("periodic", c.c_bool * 3),
        ("one_set", c.c_bool),
        ("symmetric", c.c_bool),
        ("positions", c.c_bool),
        ("reserved_1", c.c_bool * 2),
        ("device", vic_device),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_neighbors(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("pairs", c.c_int64),
        ("half", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("i", c.c_void_p),
        ("j", c.c_void_p),
        ("S", c.c_void_p),
        ("d", c.c_void_p),
        ("D", c.c_void_p),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_block_mask(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("query_block", c.c_int64),
        ("key_block", c.c_int64),
        ("rows", c.c_int64),
        ("columns", c.c_int64),
        ("partial", c.c_int64),
        ("full", c.c_int64),
        ("max_partial", c.c_int64),
        ("max_full", c.c_int64),
        ("width", c.c_int64),
        ("kv_num_blocks", c.c_void_p),
        ("full_kv_num_blocks", c.c_void_p),
        ("kv_indices", c.c_void_p),
        ("full_kv_indices", c.c_void_p),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_plan_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("dtype", c.c_int),
        ("out_dtype", c.c_int),
        ("heads", c.c_int32),
        ("kv_heads", c.c_int32),
        ("head_dim", c.c_int32),
        ("head_dim_v", c.c_int32),
        ("bias", c.c_int),
        ("pattern_order", c.c_bool),
        ("backward", c.c_bool),
        ("reserved_1", c.c_bool * 2),
        ("kernel", c.c_char_p),
        ("backward_kernel", c.c_char_p),
        ("pair_bias", c.c_int),
        ("reserved_2", c.c_bool * 4),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_plan_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("kernel", c.c_char_p),
        ("device", vic_device),
        ("computed_pairs", c.c_int64),
        ("bytes", c.c_size_t),
        ("backward_kernel", c.c_char_p),
        ("reserved", c.c_uint64 * 3),
    ]


class vic_attention_item(c.Structure):
    _fields_ = [
        ("q", c.c_void_p),
        ("k", c.c_void_p),
        ("v", c.c_void_p),
        ("out", c.c_void_p),
        ("lse", c.c_void_p),
    ]


class vic_attention_args(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("q", vic_tensor),
        ("k", vic_tensor),
        ("v", vic_tensor),
        ("out", vic_tensor),
        ("lse", vic_tensor),
        ("bias", vic_tensor),
        ("scale", c.c_double),
        ("zero_scale", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("workspace", c.c_void_p),
        ("workspace_size", c.c_size_t),
        ("stream", c.c_void_p),
        ("items", c.c_void_p),
        ("n_items", c.c_int64),
        ("reserved_2", c.c_uint64 * 2),
        ("pair_bias", vic_tensor),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_attention_backward_args(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("q", vic_tensor),
        ("k", vic_tensor),
        ("v", vic_tensor),
        ("out", vic_tensor),
        ("lse", vic_tensor),
        ("dout", vic_tensor),
        ("dlse", vic_tensor),
        ("dq", vic_tensor),
        ("dk", vic_tensor),
        ("dv", vic_tensor),
        ("bias", vic_tensor),
        ("dbias", vic_tensor),
        ("dquery_positions", vic_tensor),
        ("dkey_positions", vic_tensor),
        ("dcell", vic_tensor),
        ("scale", c.c_double),
        ("zero_scale", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("workspace", c.c_void_p),
        ("workspace_size", c.c_size_t),
        ("stream", c.c_void_p),
        ("reserved_2", c.c_uint64 * 4),
        ("pair_bias", vic_tensor),
        ("dpair_bias", vic_tensor),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_combine_args(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("parts", c.c_int64),
        ("part_out", c.c_void_p),
        ("part_lse", c.c_void_p),
        ("out", vic_tensor),
        ("lse", vic_tensor),
        ("stream", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_engine_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("threads", c.c_int32),
        ("build_threads", c.c_int32),
        ("streams", c.c_int32),
        ("reserved_1", c.c_int32),
        ("staging_bytes", c.c_size_t),
        ("log", c.c_void_p),
        ("user", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_engine_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("threads", c.c_int32),
        ("build_threads", c.c_int32),
        ("streams", c.c_int32),
        ("endpoints", c.c_int32),
        ("waiting", c.c_int64),
        ("running", c.c_int64),
        ("staging_bytes", c.c_size_t),
        ("draining", c.c_bool),
        ("faulted", c.c_bool),
        ("reserved_1", c.c_bool * 6),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_endpoint_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("name", c.c_char_p),
        ("plan", c.c_void_p),
        ("bias", vic_tensor),
        ("max_batch", c.c_int32),
        ("max_queue", c.c_int32),
        ("max_delay", c.c_double),
        ("timeout", c.c_double),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_endpoint_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("version", c.c_uint64),
        ("n_q", c.c_int64),
        ("n_k", c.c_int64),
        ("kernel", c.c_char_p),
        ("bytes", c.c_size_t),
        ("waiting", c.c_int64),
        ("running", c.c_int64),
        ("updates_waiting", c.c_int64),
        ("accepted", c.c_uint64),
        ("answered", c.c_uint64),
        ("failed", c.c_uint64),
        ("expired", c.c_uint64),
        ("cancelled", c.c_uint64),
        ("refused", c.c_uint64),
        ("launches", c.c_uint64),
        ("updates", c.c_uint64),
        ("time_ns", c.c_uint64 * 5),
        ("time", c.c_uint64 * 28 * 5),
        ("batch", c.c_uint64 * 12),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_answer(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("status", c.c_int),
        ("batch", c.c_int32),
        ("text", c.c_char_p),
        ("version", c.c_uint64),
        ("time_ns", c.c_uint64 * 5),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_query(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("q", vic_tensor),
        ("k", vic_tensor),
        ("v", vic_tensor),
        ("out", vic_tensor),
        ("lse", vic_tensor),
        ("scale", c.c_double),
        ("zero_scale", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("positions", vic_tensor),
        ("cell", c.c_void_p),
        ("timeout", c.c_double),
        ("done", c.c_void_p),
        ("user", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_memory_handle(c.Structure):
    _fields_ = [
        ("bytes", c.c_uint8 * 64),
    ]


class vic_dist_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("domains", c.c_int32),
        ("tile_strips", c.c_int32),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_dist_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("domains", c.c_int32),
        ("tile_strips", c.c_int32),
        ("one_set", c.c_bool),
        ("reserved_1", c.c_bool * 7),
        ("imbalance", c.c_double),
        ("query_halo", c.c_int64),
        ("key_halo", c.c_int64),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_dist_rows(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("own", c.c_int64),
        ("interior", c.c_int64),
        ("halo", c.c_int64),
        ("points", c.c_void_p),
        ("receive", c.c_void_p),
        ("send", c.c_void_p),
        ("run_offsets", c.c_void_p),
        ("runs", c.c_void_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_read_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("max_atoms", c.c_int64),
        ("cell", c.c_double * 6),
        ("supercell", c.c_int32 * 3),
        ("model", c.c_int32),
        ("altloc", c.c_int),
        ("duplicates", c.c_int),
        ("pbc", c.c_int),
        ("periodic", c.c_bool * 3),
        ("has_cell", c.c_bool),
        ("drop_hydrogen", c.c_bool),
        ("drop_water", c.c_bool),
        ("symmetry", c.c_bool),
        ("reserved_1", c.c_bool * 5),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_atom_label(c.Structure):
    _fields_ = [
        ("name", c.c_char * 8),
        ("residue", c.c_char * 8),
        ("chain", c.c_char * 8),
        ("insertion", c.c_char),
        ("altloc", c.c_char),
        ("hetero", c.c_bool),
        ("sequence", c.c_int32),
    ]


class vic_structure_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("atoms", c.c_int64),
        ("positions", c.c_void_p),
        ("atomic_numbers", c.c_void_p),
        ("labels", c.c_void_p),
        ("b_factors", c.c_void_p),
        ("occupancies", c.c_void_p),
        ("cell", c.c_double * 9),
        ("periodic", c.c_bool * 3),
        ("has_cell", c.c_bool),
        ("reserved_1", c.c_bool * 4),
        ("format", c.c_char_p),
        ("title", c.c_char_p),
        ("space_group", c.c_char_p),
        ("models", c.c_int64),
        ("altloc_atoms", c.c_int64),
        ("file_atoms", c.c_int64),
        ("symmetry_operations", c.c_int64),
        ("unapplied_operations", c.c_int64),
        ("notes", c.c_char_p),
        ("reserved", c.c_uint64 * 4),
    ]


class vic_reference_gradients(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("dq", c.c_void_p),
        ("dk", c.c_void_p),
        ("dv", c.c_void_p),
        ("dbias", c.c_void_p),
        ("dquery_positions", c.c_void_p),
        ("dkey_positions", c.c_void_p),
        ("dcell", c.c_void_p),
        ("dpair_bias", c.c_void_p),
        ("reserved", c.c_uint64 * 1),
    ]


class vic_time_options(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("warm_up", c.c_int32),
        ("launches", c.c_int32),
        ("in_graph", c.c_int32),
        ("cold", c.c_bool),
        ("reserved_1", c.c_bool * 3),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_kernel_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("name", c.c_char_p),
        ("device", c.c_char_p),
        ("reason", c.c_char_p),
        ("available", c.c_bool),
        ("backward", c.c_bool),
        ("reserved_1", c.c_bool * 6),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_device_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("device", vic_device),
        ("memory_bytes", c.c_int64),
        ("name", c.c_char * 128),
        ("detail", c.c_char * 128),
        ("reserved", c.c_uint64 * 2),
    ]


class vic_switch_info(Sized):
    _fields_ = [
        ("size", c.c_size_t),
        ("name", c.c_char_p),
        ("value", c.c_char_p),
        ("help", c.c_char_p),
        ("reserved", c.c_uint64 * 2),
    ]


STRUCTS = {
    "vic_error": vic_error,
    "vic_device": vic_device,
    "vic_tensor": vic_tensor,
    "vic_context_options": vic_context_options,
    "vic_context_info": vic_context_info,
    "vic_points": vic_points,
    "vic_pattern_estimate": vic_pattern_estimate,
    "vic_pattern_options": vic_pattern_options,
    "vic_block_list": vic_block_list,
    "vic_pair_list": vic_pair_list,
    "vic_range_list": vic_range_list,
    "vic_page_list": vic_page_list,
    "vic_pattern_info": vic_pattern_info,
    "vic_neighbors": vic_neighbors,
    "vic_block_mask": vic_block_mask,
    "vic_plan_options": vic_plan_options,
    "vic_plan_info": vic_plan_info,
    "vic_attention_item": vic_attention_item,
    "vic_attention_args": vic_attention_args,
    "vic_attention_backward_args": vic_attention_backward_args,
    "vic_combine_args": vic_combine_args,
    "vic_engine_options": vic_engine_options,
    "vic_engine_info": vic_engine_info,
    "vic_endpoint_options": vic_endpoint_options,
    "vic_endpoint_info": vic_endpoint_info,
    "vic_answer": vic_answer,
    "vic_query": vic_query,
    "vic_memory_handle": vic_memory_handle,
    "vic_dist_options": vic_dist_options,
    "vic_dist_info": vic_dist_info,
    "vic_dist_rows": vic_dist_rows,
    "vic_read_options": vic_read_options,
    "vic_atom_label": vic_atom_label,
    "vic_structure_info": vic_structure_info,
    "vic_reference_gradients": vic_reference_gradients,
    "vic_time_options": vic_time_options,
    "vic_kernel_info": vic_kernel_info,
    "vic_device_info": vic_device_info,
    "vic_switch_info": vic_switch_info,
}
CONSTANTS = {
    "VIC_OK": 0,
    "VIC_BAD_ARGUMENT": 10,
    "VIC_BAD_INPUT": 20,
    "VIC_CANNOT_READ": 21,
    "VIC_CANNOT_WRITE": 22,
    "VIC_NO_DEVICE": 30,
    "VIC_NO_KERNEL": 31,
    "VIC_NO_MEMORY": 40,
    "VIC_FAILED": 50,
    "VIC_BUSY": 60,
    "VIC_DEADLINE": 61,
    "VIC_CANCELLED": 62,
    "VIC_DEVICE_UNKNOWN": 0,
    "VIC_CPU": 1,
    "VIC_CUDA": 2,
    "VIC_CUDA_HOST": 3,
    "VIC_CUDA_MANAGED": 13,
    "VIC_DTYPE_UNKNOWN": 0,
    "VIC_I32": 73728,
    "VIC_I64": 81920,
    "VIC_U8": 67585,
    "VIC_F16": 69634,
    "VIC_F32": 73730,
    "VIC_F64": 81922,
    "VIC_BF16": 69636,
    "VIC_BOOL": 67590,
    "VIC_MAX_DIMS": 6,
    "VIC_QUERY": 0,
    "VIC_KEY": 1,
    "VIC_BIAS_NONE": 0,
    "VIC_BIAS_DISTANCE": 1,
    "VIC_PAIR_BIAS_NONE": 0,
    "VIC_PAIR_BIAS_PAIRS": 1,
    "VIC_PAIR_BIAS_WINDOWS": 2,
    "VIC_BIAS_POINTS": 1024,
    "VIC_BIAS_LINEAR": 0,
    "VIC_BIAS_GAUSSIAN": 1,
    "VIC_BIAS_COSINE": 2,
    "VIC_BIAS_POLYNOMIAL": 3,
    "VIC_STAGE_QUEUE": 0,
    "VIC_STAGE_INPUT": 1,
    "VIC_STAGE_COMPUTE": 2,
    "VIC_STAGE_OUTPUT": 3,
    "VIC_STAGE_TOTAL": 4,
    "VIC_STAGES": 5,
    "VIC_TIME_BUCKETS": 28,
    "VIC_BATCH_BUCKETS": 12,
    "VIC_INTERIOR": 0,
    "VIC_BOUNDARY": 1,
    "VIC_ALTLOC_HIGHEST": 0,
    "VIC_ALTLOC_ALL": 1,
    "VIC_DUPLICATES_REFUSE": 0,
    "VIC_DUPLICATES_DROP": 1,
    "VIC_DUPLICATES_KEEP": 2,
    "VIC_PBC_AUTO": 0,
    "VIC_PBC_SET": 1,
}
FUNCTIONS = {  # result, arguments
    "vic_status_name": (c.c_char_p, [c.c_int]),
    "vic_status_text": (c.c_char_p, [c.c_int]),
    "vic_version": (c.c_char_p, []),
    "vic_dtype_size": (c.c_size_t, [c.c_int]),
    "vic_dtype_name": (c.c_char_p, [c.c_int]),
    "vic_tensor_make": (vic_tensor, [c.c_void_p, c.c_int, c.c_int, c.c_void_p]),
    "vic_context_create": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_context_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_context_wait": (c.c_int, [c.c_void_p, c.c_void_p]),
    "vic_context_free": (None, [c.c_void_p]),
    "vic_memory_alloc": (c.c_int, [vic_device, c.c_size_t, c.c_void_p, c.c_void_p]),
    "vic_memory_free": (None, [vic_device, c.c_void_p]),
    "vic_memory_copy": (c.c_int, [vic_device, c.c_void_p, vic_device, c.c_void_p, c.c_size_t, c.c_void_p]),
    "vic_pattern_cutoff": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_double, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_nearest": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_windows": (c.c_int, [c.c_void_p, c.c_void_p, c.c_int64, c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_blocks": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_pairs": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_ranges": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_pages": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_union": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_difference": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_exclude": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_transpose": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_update": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_save": (c.c_int, [c.c_void_p, c.c_char_p, c.c_void_p]),
    "vic_pattern_save_to": (c.c_int, [c.c_void_p, c.c_int, c.c_char_p, c.c_void_p]),
    "vic_pattern_load": (c.c_int, [c.c_void_p, c.c_char_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_order": (c.c_int, [c.c_void_p, c.c_int, c.c_void_p, c.c_void_p]),
    "vic_pattern_positions": (c.c_int, [c.c_void_p, c.c_int, c.c_void_p, c.c_void_p]),
    "vic_pattern_counts": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_neighbors": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_block_mask": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_sort": (c.c_int, [c.c_void_p, c.c_void_p, c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_unsort": (c.c_int, [c.c_void_p, c.c_void_p, c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_free": (None, [c.c_void_p]),
    "vic_plan_create": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_plan_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_plan_free": (None, [c.c_void_p]),
    "vic_plan_workspace": (c.c_int, [c.c_void_p, c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p]),
    "vic_attention": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_attention_backward": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_combine": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_bias_add": (c.c_int, [c.c_int, c.c_double, c.c_double, c.c_double, c.c_double, c.c_int, c.c_void_p, c.c_void_p]),
    "vic_engine_create": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_engine_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_engine_drain": (c.c_int, [c.c_void_p, c.c_double, c.c_void_p]),
    "vic_engine_free": (None, [c.c_void_p]),
    "vic_endpoint_create": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_endpoint_replace": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_endpoint_pattern": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_endpoint_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_endpoint_free": (None, [c.c_void_p]),
    "vic_submit": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_cancel": (c.c_bool, [c.c_void_p, c.c_uint64]),
    "vic_memory_export": (c.c_int, [vic_device, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_memory_open": (c.c_int, [vic_device, c.c_void_p, c.c_size_t, c.c_void_p, c.c_void_p]),
    "vic_memory_close": (None, [vic_device, c.c_void_p]),
    "vic_dist_create": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_dist_free": (None, [c.c_void_p]),
    "vic_dist_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_dist_get_rows": (c.c_int, [c.c_void_p, c.c_int32, c.c_int, c.c_void_p, c.c_void_p]),
    "vic_dist_make_pattern": (c.c_int, [c.c_void_p, c.c_void_p, c.c_int32, c.c_int, c.c_int, c.c_void_p, c.c_void_p]),
    "vic_structure_read": (c.c_int, [c.c_char_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_structure_from_arrays": (c.c_int, [c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_structure_get": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_structure_points": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_structure_write": (c.c_int, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_void_p, c.c_void_p]),
    "vic_structure_write_to": (c.c_int, [c.c_void_p, c.c_int, c.c_char_p, c.c_char_p, c.c_void_p, c.c_void_p]),
    "vic_structure_free": (None, [c.c_void_p]),
    "vic_attention_reference": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_attention_backward_reference": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_dense": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_attention_time": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_attention_backward_time": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_generate": (c.c_int, [c.c_void_p, c.c_char_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_pattern_list_blocks": (c.c_int, [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vic_kernel_count": (c.c_int, []),
    "vic_kernel_get": (c.c_int, [c.c_int, c.c_void_p, c.c_void_p]),
    "vic_device_get": (c.c_int, [c.c_int, c.c_void_p, c.c_void_p]),
    "vic_switch_count": (c.c_int, []),
    "vic_switch_get": (c.c_int, [c.c_int, c.c_void_p, c.c_void_p]),
    "vic_switches_check": (c.c_int, [c.c_void_p]),
    "vic_build_info": (c.c_char_p, []),
    "vicpy_keep": (c.c_int64, [c.c_void_p]),
    "vicpy_hold": (c.c_int, [c.c_int64, c.c_void_p]),
    "vicpy_drop": (None, [c.c_int64]),
    "vicpy_pattern": (c.c_void_p, [c.c_int64]),
    "vicpy_update": (c.c_int, [c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vicpy_context": (c.c_int, [vic_device, c.c_void_p, c.c_void_p]),
    "vicpy_set_threads": (c.c_int, [c.c_int32, c.c_void_p]),
    "vicpy_plan_get": (c.c_int, [c.c_int64, c.c_void_p, c.c_void_p, c.c_void_p]),
    "vicpy_attention": (c.c_int, [c.c_int64, c.c_void_p, c.c_bool, c.c_void_p]),
    "vicpy_attention_backward": (c.c_int, [c.c_int64, c.c_void_p, c.c_bool, c.c_void_p]),
    "vicpy_register_torch": (c.c_char_p, [c.c_void_p, c.c_void_p]),
    "vicpy_jax_instantiate": (c.c_void_p, [c.c_void_p]),
    "vicpy_jax_cpu": (c.c_void_p, [c.c_void_p]),
    "vicpy_jax_cuda": (c.c_void_p, [c.c_void_p]),
    "vicpy_jax_backward_cpu": (c.c_void_p, [c.c_void_p]),
    "vicpy_jax_backward_cuda": (c.c_void_p, [c.c_void_p]),
}
