/* SPDX-License-Identifier: Apache-2.0 */
/* What a file that is written came from, for those who find it later: a JSON object whose values are texts, as
 * safetensors has it in __metadata__.  Nothing that does not change the content is in it (no threads, no times). */
#ifndef VICINAL_CLI_METADATA_H
#define VICINAL_CLI_METADATA_H

#include "commands/run.h"

/* Into a zeroed `j`, which is to be freed also after a failure; the text is j->text.data. */
vic_status metadata_of_pattern(struct json *j, const struct pattern_input *in, const struct pattern_built *b,
                               vic_error *err);
vic_status metadata_of_run(struct json *j, const struct run_options *r, const struct pattern_built *b,
                           const struct run_result *out, vic_error *err);

#endif
