/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void table_init(struct table *table, const struct table_column *columns, size_t column_count) {
    ASSERT(column_count > 0 && column_count <= TABLE_COLUMNS_MAX);
    *table = (struct table){.columns = columns, .column_count = column_count};
}

void table_fini(struct table *table) {
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i].text);
    }
    free(table->cells);
    *table = (struct table){0};
}

void table_add_styled(struct table *table, enum text_style style, const char *text) {
    if (table->cell_count == table->cells_max) {
        table->cells_max = table->cells_max > 0 ? table->cells_max * 2 : 64;
        table->cells = text_keep(realloc(table->cells, table->cells_max * sizeof(table->cells[0])));
    }
    table->cells[table->cell_count].text = text_clean(text);
    table->cells[table->cell_count].style = style;
    table->cell_count++;
}

void table_add(struct table *table, const char *text) {
    table_add_styled(table, STYLE_PLAIN, text);
}

void table_addf(struct table *table, const char *format, ...) {
    char text[TEXT_LINE_BYTES];
    va_list list;
    va_start(list, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    table_add(table, text);
}

size_t table_rows(const struct table *table) {
    return table->cell_count / table->column_count;
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX], size_t rows) {
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = strlen(table->columns[i].title);
    }
    for (size_t i = 0; i < rows * table->column_count; i++) {
        size_t width = text_width(table->cells[i].text);
        size_t *widest = &widths[i % table->column_count];
        *widest = width > *widest ? width : *widest;
    }
}

static void print_row(const struct table *table, FILE *out, bool has_colour,
                      const struct table_cell *row, const size_t widths[TABLE_COLUMNS_MAX]) {
    size_t owed = 0; /* spaces, printed only before more text */
    for (size_t i = 0; i < table->column_count; i++) {
        size_t fill = widths[i] - text_width(row[i].text);
        owed += table->columns[i].is_number ? fill : 0;
        if (row[i].text[0] != '\0') {
            (void)fprintf(out, "%*s", (int)owed, "");
            text_styled(out, has_colour, row[i].style, row[i].text);
            owed = 0;
        }
        owed += (table->columns[i].is_number ? 0 : fill) + 2;
    }
    (void)fputc('\n', out);
}

static void print_titles(const struct table *table, FILE *out, bool has_colour,
                         const size_t widths[TABLE_COLUMNS_MAX]) {
    struct table_cell titles[TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < table->column_count; i++) {
        titles[i].text = text_clean(table->columns[i].title);
        titles[i].style = STYLE_BOLD;
    }
    print_row(table, out, has_colour, titles, widths);
    for (size_t i = 0; i < table->column_count; i++) {
        free(titles[i].text);
    }
}

void table_print(const struct table *table, FILE *out, bool has_colour, size_t rows_max) {
    ASSERT(table->cell_count % table->column_count == 0);
    size_t widths[TABLE_COLUMNS_MAX];
    size_t rows = table_rows(table) < rows_max ? table_rows(table) : rows_max;
    measure(table, widths, rows);
    print_titles(table, out, has_colour, widths);
    for (size_t i = 0; i < rows; i++) {
        print_row(table, out, has_colour, &table->cells[i * table->column_count], widths);
    }
}
