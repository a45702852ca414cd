/* SPDX-License-Identifier: Apache-2.0 */
#include "chemistry.h"

#include <math.h>

/* Masses: IUPAC's abridged standard atomic weights (2021); elements without one have the mass number of their
 * longest-lived isotope.  Radii: Bondi 1964, with hydrogen of Rowland & Taylor 1996; 0 = not tabulated. */
static const struct {
    const char *symbol;
    double mass, radius;
} elements[ELEMENTS] = {
    { "X", 0, 0 },          { "H", 1.008, 1.10 },   { "He", 4.0026, 1.40 }, { "Li", 6.94, 1.82 },
    { "Be", 9.0122, 0 },    { "B", 10.81, 1.92 },   { "C", 12.011, 1.70 },  { "N", 14.007, 1.55 },
    { "O", 15.999, 1.52 },  { "F", 18.998, 1.47 },  { "Ne", 20.180, 1.54 }, { "Na", 22.990, 2.27 },
    { "Mg", 24.305, 1.73 }, { "Al", 26.982, 1.84 }, { "Si", 28.085, 2.10 }, { "P", 30.974, 1.80 },
    { "S", 32.06, 1.80 },   { "Cl", 35.45, 1.75 },  { "Ar", 39.95, 1.88 },  { "K", 39.098, 2.75 },
    { "Ca", 40.078, 2.31 }, { "Sc", 44.956, 0 },    { "Ti", 47.867, 0 },    { "V", 50.942, 0 },
    { "Cr", 51.996, 0 },    { "Mn", 54.938, 0 },    { "Fe", 55.845, 0 },    { "Co", 58.933, 0 },
    { "Ni", 58.693, 1.63 }, { "Cu", 63.546, 1.40 }, { "Zn", 65.38, 1.39 },  { "Ga", 69.723, 1.87 },
    { "Ge", 72.630, 2.11 }, { "As", 74.922, 1.85 }, { "Se", 78.971, 1.90 }, { "Br", 79.904, 1.85 },
    { "Kr", 83.798, 2.02 }, { "Rb", 85.468, 3.03 }, { "Sr", 87.62, 2.49 },  { "Y", 88.906, 0 },
    { "Zr", 91.224, 0 },    { "Nb", 92.906, 0 },    { "Mo", 95.95, 0 },     { "Tc", 98, 0 },
    { "Ru", 101.07, 0 },    { "Rh", 102.91, 0 },    { "Pd", 106.42, 1.63 }, { "Ag", 107.87, 1.72 },
    { "Cd", 112.41, 1.58 }, { "In", 114.82, 1.93 }, { "Sn", 118.71, 2.17 }, { "Sb", 121.76, 2.06 },
    { "Te", 127.60, 2.06 }, { "I", 126.90, 1.98 },  { "Xe", 131.29, 2.16 }, { "Cs", 132.91, 3.43 },
    { "Ba", 137.33, 2.68 }, { "La", 138.91, 0 },    { "Ce", 140.12, 0 },    { "Pr", 140.91, 0 },
    { "Nd", 144.24, 0 },    { "Pm", 145, 0 },       { "Sm", 150.36, 0 },    { "Eu", 151.96, 0 },
    { "Gd", 157.25, 0 },    { "Tb", 158.93, 0 },    { "Dy", 162.50, 0 },    { "Ho", 164.93, 0 },
    { "Er", 167.26, 0 },    { "Tm", 168.93, 0 },    { "Yb", 173.05, 0 },    { "Lu", 174.97, 0 },
    { "Hf", 178.49, 0 },    { "Ta", 180.95, 0 },    { "W", 183.84, 0 },     { "Re", 186.21, 0 },
    { "Os", 190.23, 0 },    { "Ir", 192.22, 0 },    { "Pt", 195.08, 1.75 }, { "Au", 196.97, 1.66 },
    { "Hg", 200.59, 1.55 }, { "Tl", 204.38, 1.96 }, { "Pb", 207.2, 2.02 },  { "Bi", 208.98, 2.07 },
    { "Po", 209, 1.97 },    { "At", 210, 2.02 },    { "Rn", 222, 2.20 },    { "Fr", 223, 3.48 },
    { "Ra", 226, 2.83 },    { "Ac", 227, 0 },       { "Th", 232.04, 0 },    { "Pa", 231.04, 0 },
    { "U", 238.03, 1.86 },  { "Np", 237, 0 },       { "Pu", 244, 0 },       { "Am", 243, 0 },
    { "Cm", 247, 0 },       { "Bk", 247, 0 },       { "Cf", 251, 0 },       { "Es", 252, 0 },
    { "Fm", 257, 0 },       { "Md", 258, 0 },       { "No", 259, 0 },       { "Lr", 262, 0 },
    { "Rf", 267, 0 },       { "Db", 268, 0 },       { "Sg", 267, 0 },       { "Bh", 270, 0 },
    { "Hs", 271, 0 },       { "Mt", 278, 0 },       { "Ds", 281, 0 },       { "Rg", 282, 0 },
    { "Cn", 285, 0 },       { "Nh", 286, 0 },       { "Fl", 290, 0 },       { "Mc", 290, 0 },
    { "Lv", 293, 0 },       { "Ts", 294, 0 },       { "Og", 294, 0 },
};

const char *chemistry_symbol(int number)
{
    return number > 0 && number < ELEMENTS ? elements[number].symbol : "X";
}

double chemistry_mass(int number)
{
    return number > 0 && number < ELEMENTS ? elements[number].mass : 0.0;
}

double chemistry_radius(int number)
{
    double radius = number > 0 && number < ELEMENTS ? elements[number].radius : 1.7;
    return radius > 0.0 ? radius : 1.9;
}

double volume_of_cell(const double cell[9])
{
    const double *a = cell, *b = cell + 3, *c = cell + 6;
    return fabs(a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) +
                a[2] * (b[0] * c[1] - b[1] * c[0]));
}
