/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_X_replay FOLDER WORDS COUNT: the fuzzing target X without a fuzzer, so that any compiler can build it and
 * every run does the same: each file of FOLDER, then COUNT changed ones, made of these files and of the words in the
 * file WORDS (may be missing) by a seed that does not change. */
#include "fuzz/file.h"

#include <dirent.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum { MOST_INPUTS = 20000, MOST_WORDS = 100, MOST_BYTES = 8192, MOST_CHANGES = 5 };

struct text {
    uint8_t *bytes;
    size_t size;
};

static struct text inputs[MOST_INPUTS], words[MOST_WORDS];
static size_t input_count, word_count;
static uint64_t state = 1;

static size_t below(size_t limit) /* splitmix64 */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % (limit ? limit : 1));
}

static struct text read_all(const char *path)
{
    struct text t = { NULL, 0 };
    FILE *file = fopen(path, "rb");
    if (!file) return t;
    t.bytes = malloc(MOST_BYTES);
    if (!t.bytes) abort();
    t.size = fread(t.bytes, 1, MOST_BYTES, file);
    fclose(file);
    return t;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_inputs(const char *folder)
{
    static char *names[MOST_INPUTS];
    DIR *open_folder = opendir(folder);
    size_t count = 0;
    for (struct dirent *e; open_folder && count < MOST_INPUTS && (e = readdir(open_folder));)
        if (e->d_name[0] != '.') names[count++] = strdup(e->d_name);
    if (open_folder) closedir(open_folder);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        inputs[input_count++] = read_all(path);
        free(names[i]);
    }
}

/* Lines "word", with \xNN and \\ in it, as libFuzzer reads them. */
static void read_words(const char *path)
{
    struct text t = read_all(path);
    for (size_t at = 0; at < t.size && word_count < MOST_WORDS; at++) {
        struct text *word = &words[word_count];
        if (t.bytes[at] != '"') continue;
        word->bytes = malloc(t.size);
        if (!word->bytes) abort();
        for (at++; at < t.size && t.bytes[at] != '"'; at++) {
            unsigned value = t.bytes[at];
            if (value == '\\' && at + 3 < t.size && t.bytes[at + 1] == 'x') {
                char digits[3] = { (char)t.bytes[at + 2], (char)t.bytes[at + 3], 0 };
                value = (unsigned)strtoul(digits, NULL, 16);
                at += 3;
            } else if (value == '\\') {
                value = t.bytes[++at];
            }
            word->bytes[word->size++] = (uint8_t)value;
        }
        word_count++;
    }
    free(t.bytes);
}

/* In place of `old` bytes at `at` come `size` others. */
static void splice(struct text *t, size_t at, size_t old, const uint8_t *bytes, size_t size)
{
    if (t->size - old + size > MOST_BYTES) return;
    memmove(t->bytes + at + size, t->bytes + at + old, t->size - at - old);
    if (size) memcpy(t->bytes + at, bytes, size);
    t->size += size - old;
}

static void change(struct text *t)
{
    static const char likely[] = " \n\r\t.-+0123456789e,;:'\"()[]{}_#?=TFxX\x80\xe2";
    const struct text *other = &inputs[below(input_count)], *word = &words[below(word_count)];
    size_t at = below(t->size), length = below(below(4) ? 9 : t->size - at + 1), from = below(other->size);
    uint8_t byte = (uint8_t)below(256);
    if (length > t->size - at) length = t->size - at;
    if (below(3)) byte = (uint8_t)likely[below(sizeof likely - 1)];
    switch (below(8)) {
    case 0: splice(t, at, length, NULL, 0); break;
    case 1: t->size = at; break;
    case 2: splice(t, at, 0, &byte, 1); break;
    case 3: splice(t, at, t->size > at, &byte, 1); break;
    case 4: splice(t, at, below(2) ? length : 0, word->bytes, word->size); break;
    case 5: splice(t, at, below(2) && word->size <= t->size - at ? word->size : 0, word->bytes, word->size); break;
    case 6: splice(t, at, length, other->bytes + from, below(other->size - from + 1)); break;
    default: splice(t, at, t->size - at, other->bytes + from, other->size - from); break;
    }
}

int main(int argc, char **argv)
{
    struct text t = { malloc(MOST_BYTES), 0 };
    long count = argc == 4 ? strtol(argv[3], NULL, 10) : -1;
    if (count < 0 || !t.bytes) return 2;
    read_inputs(argv[1]);
    read_words(argv[2]);
    if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);
    if (input_count == 0) {
        fprintf(stderr, "%s: no files in %s\n", argv[0], argv[1]);
        return 1;
    }
    for (size_t i = 0; i < input_count; i++) LLVMFuzzerTestOneInput(inputs[i].bytes, inputs[i].size);
    for (long n = 0; n < count; n++) {
        const struct text *input = &inputs[below(input_count)];
        t.size = input->size;
        memcpy(t.bytes, input->bytes, input->size);
        for (size_t k = 1 + below(MOST_CHANGES); k > 0; k--) change(&t);
        LLVMFuzzerTestOneInput(t.bytes, t.size);
    }
    fprintf(stderr, "%zu files and %ld changed ones\n", input_count, count);
    for (size_t i = 0; i < input_count; i++) free(inputs[i].bytes);
    for (size_t i = 0; i < word_count; i++) free(words[i].bytes);
    free(t.bytes);
    return 0;
}
