/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VICINAL_CLI_FIELD_NAMES_H
#define VICINAL_CLI_FIELD_NAMES_H

#include "cli.h"

/* The library names fields of its structs at the beginning of an error; whoever typed a command knows them as
 * options.  Changes err->text where it begins with such a field. */
void field_names_to_options(vic_error *err);

#endif
