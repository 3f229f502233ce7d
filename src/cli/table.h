/* SPDX-License-Identifier: Apache-2.0
 *
 * A table for people: columns as wide as their widest cell, numbers to the right, two spaces
 * between, no trailing spaces. Cells are cleaned as they come in (cli/text.h).
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/text.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
    const char *title;
    bool is_number; /* aligned to the right */
};

struct table_cell {
    char *text;
    enum text_style style;
};

/* Init, then cells row by row, then print, then fini. */
struct table {
    const struct table_column *columns; /* borrowed */
    size_t column_count;
    struct table_cell *cells;
    size_t cell_count;
    size_t cells_max;
};

void table_init(struct table *table, const struct table_column *columns, size_t column_count);
void table_fini(struct table *table);
/* Adds the next cell; rows are filled from left to right. */
void table_add(struct table *table, const char *text);
void table_add_styled(struct table *table, enum text_style style, const char *text);
__attribute__((format(printf, 2, 3))) void table_addf(struct table *table, const char *format, ...);
size_t table_rows(const struct table *table);
/* Prints titles and rows; at most `rows_max` rows. Asserts that the last row is complete. */
void table_print(const struct table *table, FILE *out, bool has_colour, size_t rows_max);

#endif
