/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/table.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/problem.h"
#include "tools/show.h"
#include "tools/suggest.h"
#include <ctype.h>
#include <string.h>

#define COLUMNS_MAX 64

struct table {
	const struct table_options *options;
	const struct api_column *columns[COLUMNS_MAX];
	unsigned column_count;
	const json_t **rows;
	size_t row_count;
	char **cells; /* row by row */
};

char *
column_name(const struct api_column *column, char buf[COLUMN_NAME_MAX])
{
	size_t i;

	for (i = 0; column->title[i] != '\0' && i < COLUMN_NAME_MAX - 1; i++)
		buf[i] = (char)tolower((unsigned char)column->title[i]);
	buf[i] = '\0';
	return buf;
}

/* By the name for -o, or by the JSON member. */
static const struct api_column *
column_find(const struct api_command *command, const char *word)
{
	const struct api_column *column = command->columns;
	char name[COLUMN_NAME_MAX];

	for (; column != NULL && column->name != NULL; column++) {
		if (strcasecmp(word, column_name(column, name)) == 0 ||
		    strcmp(word, column->name) == 0)
			return column;
	}
	return NULL;
}

static json_t *
column_unknown(const struct api_command *command, const char *word)
{
	json_t *problem = problem_new(
	    API_USAGE, "usage.column", "there is no column '%s'", word);
	const struct api_column *column = command->columns;
	char names[COLUMNS_MAX][COLUMN_NAME_MAX], all[1024] = "";
	struct suggest suggest;
	size_t used = 0;

	suggest_init(&suggest, word);
	for (unsigned i = 0; column != NULL && column[i].name != NULL; i++) {
		assert(i < COLUMNS_MAX);
		suggest_offer(&suggest, column_name(&column[i], names[i]));
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
		    i > 0 ? "," : "", names[i]);
		assert(used < sizeof(all));
	}
	if (suggest.nearest != NULL)
		problem_fix(problem, "did you mean %s?", suggest.nearest);
	if (used == 0)
		return problem_why(problem, "the command answers no table");
	return problem_fix(problem, "the columns are: %s", all);
}

/* -o into table (NULL: only checks). */
static json_t *
columns_choose(
    const struct api_command *command, const char *list, struct table *table)
{
	_cleanup_(freep) char *words = strdup(list);
	unsigned count = 0;
	char *state;

	assert(words != NULL);
	for (char *word = strtok_r(words, ",", &state); word != NULL;
	     word = strtok_r(NULL, ",", &state)) {
		const struct api_column *column = column_find(command, word);
		if (column == NULL)
			return column_unknown(command, word);
		if (count == COLUMNS_MAX)
			return problem_new(API_USAGE, "usage.column",
			    "more than %d columns", COLUMNS_MAX);
		if (table != NULL)
			table->columns[count] = column;
		count++;
	}
	if (table != NULL)
		table->column_count = count;
	return NULL;
}

json_t *
table_check(
    const struct api_command *command, const struct table_options *options)
{
	const char *sort = options->sort;

	if (sort != NULL) {
		sort += sort[0] == '-';
		if (column_find(command, sort) == NULL)
			return column_unknown(command, sort);
	}
	if (options->columns == NULL)
		return NULL;
	return columns_choose(command, options->columns, NULL);
}

static void
columns_usual(const struct api_command *command, struct table *table)
{
	const struct api_column *column = command->columns;

	for (; column != NULL && column->name != NULL; column++) {
		if (column->hidden)
			continue;
		assert(table->column_count < COLUMNS_MAX);
		table->columns[table->column_count++] = column;
	}
}

/* ---- rows ---- */

struct sort_by {
	const char *member;
	bool reverse;
};

static int
compare_values(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) {
		double x = json_number_value(a), y = json_number_value(b);
		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b))
		return strverscmp(json_string_value(a), json_string_value(b));
	/* what is missing comes first */
	return (int)json_is_string(a) + json_is_number(a) -
	       (int)json_is_string(b) - json_is_number(b);
}

static int
compare_rows(const void *a, const void *b, void *arg)
{
	const struct sort_by *by = arg;
	const json_t *const *x = a, *const *y = b;
	int order = compare_values(
	    json_object_get(*x, by->member), json_object_get(*y, by->member));

	return by->reverse ? -order : order;
}

static void
rows_sort(const struct api_command *command, struct table *table)
{
	const char *sort = table->options->sort;
	struct sort_by by = {0};

	if (sort == NULL)
		return;
	by.reverse = sort[0] == '-';
	by.member = column_find(command, sort + by.reverse)->name;
	qsort_r(table->rows, table->row_count, sizeof(table->rows[0]),
	    compare_rows, &by);
}

static void
rows_take(const struct api_command *command, const json_t *result,
    struct table *table)
{
	const json_t *items = json_object_get(result, "items");
	const json_t *row;
	size_t i;

	table->rows = calloc(json_array_size(items) + 1, sizeof(row));
	assert(table->rows != NULL);
	if (!(command->flags & API_LIST)) {
		row = json_object_get(result, "item");
		if (row != NULL)
			table->rows[table->row_count++] = row;
		return;
	}
	json_array_foreach(items, i, row) table->rows[table->row_count++] = row;
}

static void
cells_make(struct table *table)
{
	size_t count = table->row_count * table->column_count;
	enum show_style style = table->options->plain   ? SHOW_PLAIN
				: table->options->bytes ? SHOW_BYTES
							: SHOW_PEOPLE;

	table->cells = calloc(count + 1, sizeof(char *));
	assert(table->cells != NULL);
	for (size_t i = 0; i < count; i++) {
		const struct api_column *column =
		    table->columns[i % table->column_count];
		const json_t *row = table->rows[i / table->column_count];
		table->cells[i] = show_value(
		    column->kind, json_object_get(row, column->name), style);
	}
}

static void
table_done(struct table *table)
{
	for (size_t i = 0; i < table->row_count * table->column_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->rows);
}

/* ---- printing ---- */

/* Characters, not bytes: names are ASCII, but texts need not be. */
static int
text_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static int
column_width(const struct table *table, unsigned column)
{
	int width = text_width(table->columns[column]->title);

	for (size_t row = 0; row < table->row_count; row++) {
		int cell = text_width(
		    table->cells[row * table->column_count + column]);
		if (cell > width)
			width = cell;
	}
	return width;
}

static void
print_padded(const struct table *table, unsigned column, const char *text,
    int width, FILE *file)
{
	bool last = column + 1 == table->column_count;
	int pad = width - text_width(text);

	if (show_is_number(table->columns[column]->kind)) {
		fprintf(file, "%*s", pad, "");
		pad = 0;
	}
	print_safely(text, file);
	if (last)
		fputc('\n', file);
	else
		fprintf(file, "%*s", pad + 2, "");
}

static void
print_table(const struct table *table, FILE *file)
{
	int width[COLUMNS_MAX];

	if (table->options->bold)
		fputs("\033[1m", file);
	for (unsigned column = 0; column < table->column_count; column++) {
		width[column] = column_width(table, column);
		print_padded(table, column, table->columns[column]->title,
		    width[column], file);
	}
	if (table->options->bold)
		fputs("\033[0m", file);
	for (size_t i = 0; i < table->row_count * table->column_count; i++) {
		unsigned column = (unsigned)(i % table->column_count);
		print_padded(
		    table, column, table->cells[i], width[column], file);
	}
}

static void
print_plain(const struct table *table, FILE *file)
{
	for (size_t i = 0; i < table->row_count * table->column_count; i++) {
		bool last = (i + 1) % table->column_count == 0;
		print_safely(table->cells[i], file);
		fputc(last ? '\n' : '\t', file);
	}
}

static bool
item_has(const struct table *table, unsigned column)
{
	const json_t *value =
	    json_object_get(table->rows[0], table->columns[column]->name);

	return value != NULL && !json_is_null(value);
}

/* One item, a line for each value it has. */
static void
print_item(const struct table *table, FILE *file)
{
	char name[COLUMN_NAME_MAX];
	int width = 0;

	for (unsigned i = 0; i < table->column_count; i++) {
		int length = text_width(table->columns[i]->title);
		if (item_has(table, i) && length > width)
			width = length;
	}
	for (unsigned i = 0; i < table->column_count; i++) {
		if (!item_has(table, i))
			continue;
		fprintf(file, "%-*s  ", width,
		    column_name(table->columns[i], name));
		print_safely(table->cells[i], file);
		fputc('\n', file);
	}
}

void
table_print(const struct api_command *command, const json_t *result,
    const struct table_options *options, FILE *file)
{
	struct table table = {.options = options};

	if (options->columns != NULL)
		json_decref(columns_choose(command, options->columns, &table));
	else
		columns_usual(command, &table);
	if (table.column_count == 0)
		return;
	rows_take(command, result, &table);
	rows_sort(command, &table);
	cells_make(&table);
	if (options->plain)
		print_plain(&table, file);
	else if (table.row_count > 0 && (command->flags & API_LIST))
		print_table(&table, file);
	else if (table.row_count > 0)
		print_item(&table, file);
	table_done(&table);
}
