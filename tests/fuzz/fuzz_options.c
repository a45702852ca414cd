/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: each line of the input is a word. */
#include "cli/commands/structure_options.h"
#include "cli/options.h"
#include "fuzz/file.h"

enum { WORDS = 64, OWN = 6 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return freopen("/dev/null", "w", stdout) ? 0 : 1; /* --help */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = fuzz_text(bytes, size), *words[WORDS + 1], *rest = NULL;
    const char *operand, *name = NULL;
    struct structure_options s;
    struct option structure[STRUCTURE_OPTIONS], output[OUTPUT_OPTIONS];
    bool helped, flag = false;
    int count = 0, number = 0, choice = 0;
    uint64_t seed = 0;
    double real = 0;
    vic_error err;
    const struct option own[OWN] = {
        { "--cutoff", "R", "a length", OPTION_REAL, &real, 0, 1e6, NULL, NULL },
        { "--heads", "N", "a count", OPTION_INT, &number, 1, 4096, NULL, NULL },
        { "--seed", "N", "any", OPTION_UINT64, &seed, 0, 0, NULL, NULL },
        { "--dtype", "T", "a word", OPTION_CHOICE, &choice, 0, 0, "fp32|fp16|bf16", NULL },
        { "-o", "FILE", "a name", OPTION_TEXT, &name, 0, 0, NULL, NULL },
        { "--check", NULL, "a flag", OPTION_FLAG, &flag, 0, 0, NULL, NULL },
    };
    const struct option_group groups[] = { { "Structure", structure, STRUCTURE_OPTIONS },
                                           { "Output", output, OUTPUT_OPTIONS },
                                           { "Own", own, OWN } };
    const struct syntax syntax = { "run", "FILE", "what it does", NULL, groups, 3 };
    structure_options_init(&s);
    structure_options_rows(&s, structure);
    output_options_rows(&s, output);
    for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS; word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    words[count] = NULL;
    if (options_read(&syntax, count, words, &operand, &helped, &err) == VIC_OK && !helped) {
        if (!operand || number < 0 || number > 4096 || choice < 0 || choice > 2 || !(real >= 0 && real <= 1e6))
            abort();
        for (int i = 0; i < 3; i++)
            if (s.read.supercell[i] < 1 || (s.read.has_cell && !(s.read.cell[i] > 0))) abort();
    }
    free(text);
    return 0;
}
