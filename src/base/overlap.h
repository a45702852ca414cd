/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_BASE_OVERLAP_H
#define VIC_BASE_OVERLAP_H

#include "vicinal.h"

/* Is there a byte that belongs to an element of both?  Both pass size_tensor_fits().  Tensors that interleave, as packed
 * q, k, v and out do by row or by head, share a span of memory but no element.  Where it would take too long to tell,
 * which no layout of nested dimensions does, the answer is yes. */
bool tensors_overlap(const vic_tensor *a, const vic_tensor *b);

/* May two elements of the tensor lie in one place?  No where each stride reaches over all that smaller strides reach;
 * otherwise the answer is yes, also for the rare strides that interleave without meeting. */
bool tensor_overlaps_itself(const vic_tensor *t);

#endif
