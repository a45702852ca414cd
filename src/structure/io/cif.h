/* SPDX-License-Identifier: Apache-2.0 */
/* The two dialects of CIF: atoms of macromolecules (mmcif.c) and of small molecules and crystals (smcif.c).  cif.c
 * recognises CIF, opens it, and looks which of the two a file is. */
#ifndef VIC_STRUCTURE_IO_CIF_H
#define VIC_STRUCTURE_IO_CIF_H

#include "structure/io/format.h"
#include "structure/io/gemmi_shim.h"

struct piece cif_piece(struct shim_text t);         /* empty when absent */
bool cif_number(struct shim_text t, double *value); /* a standard uncertainty in brackets allowed: 12.345(6) */
int64_t cif_line(const struct source *s, struct shim_text t); /* line of a value that is there */

/* Some block has _atom_site.Cartn_x.  Models of several such blocks are numbered through. */
vic_status mmcif_read(const struct source *s, struct shim_cif *cif, int model, struct file_content *out,
                      vic_error *err);

/* Blocks with fractional sites count as models 1, 2, ...; there is one.  No atoms is an error that says so. */
bool smcif_has_sites(const struct shim_cif *cif, int block);
vic_status smcif_read(const struct source *s, struct shim_cif *cif, int model, struct file_content *out,
                      vic_error *err);

#endif
