/* SPDX-License-Identifier: Apache-2.0 */
/* Chemical elements: symbol, mass and radius by atomic number; and the size of a cell. */
#ifndef VICINAL_CLI_CHEMISTRY_H
#define VICINAL_CLI_CHEMISTRY_H

enum { ELEMENTS = 119 };

const char *chemistry_symbol(int number); /* "X" for 0 and unknown ones */
double chemistry_mass(int number);        /* standard atomic weight in u; 0 when not known */
double chemistry_radius(int number);      /* van der Waals, A; a middling value when not known */

double volume_of_cell(const double cell[9]); /* A^3 */

#endif
