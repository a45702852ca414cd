/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of a table (options.h) say of the files on a command line, whichever the subcommand: an output's name
 * has one of its endings, and no output is an input or another output. */
#ifndef VICINAL_CLI_FILES_H
#define VICINAL_CLI_FILES_H

#include "options.h"

/* `endings`: ".npy|.safetensors".  Does the name have one, in any case?  They as words: ".npy or .safetensors". */
bool has_ending(const char *path, const char *endings);
const char *endings_text(const char *endings, char out[128]);

/* BAD_ARGUMENT, naming both options, before anything is opened.  options_read() calls it.  A file is the same under
 * any name (symbolic or hard link, another path); names of files that do not exist are compared by folder and name.
 * Pipes and devices pass, where one format alone is written to them. */
vic_status files_check(const struct syntax *s, const char *operand, vic_error *err);

/* Would any output be refused for what it is, a folder or a place that cannot be written (outfile_probe())? */
vic_status files_probe(const struct syntax *s, vic_error *err);

#endif
