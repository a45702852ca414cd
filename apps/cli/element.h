/* SPDX-License-Identifier: Apache-2.0 */
/* Chemical elements: symbol, mass and radius by atomic number. */
#ifndef VICINAL_CLI_ELEMENT_H
#define VICINAL_CLI_ELEMENT_H

enum { ELEMENTS = 119 };

const char *element_symbol(int number); /* "X" for 0 and unknown ones */
double element_mass(int number);        /* standard atomic weight in u; 0 when not known */
double element_radius(int number);      /* van der Waals, A; a middling value when not known */

#endif
