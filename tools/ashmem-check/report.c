// SPDX-License-Identifier: GPL-2.0
/*
 * Counts findings, and prints them as lines, as JSON, or as a script that fixes what is
 * broken.
 */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum status { OK, NOTE, BROKEN };

/* The last finding. It is printed with the next one, as more advice may be added until then. */
static struct {
	enum status status;
	/* Whether it says that something was not checked. */
	bool is_unknown;
	const char *id, *text, *advice, *mending;
	/* Whether the script must leave it, as its commands would have misleading characters. */
	bool is_by_hand;
} last;

static enum form form;
static int findings, problems, unknowns;

static const char *vtext(const char *format, va_list args)
{
	char *made;

	if (vasprintf(&made, format, args) < 0)
		errx(2, "Out of memory. Free some and run it again.");
	return made;
}

const char *text(const char *format, ...)
{
	const char *made;
	va_list args;

	va_start(args, format);
	made = vtext(format, args);
	va_end(args);
	return made;
}

static bool is_control(unsigned long value)
{
	return value < 0x20 || (value >= 0x7f && value < 0xa0);
}

/* The length of the UTF-8 character at @s, or 0 if it is invalid or a control character. */
static size_t character(const unsigned char *s)
{
	static const unsigned long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	unsigned long value = len == 1 ? *s : *s & (0x7f >> len);

	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	/* Overlong forms, surrogates, and values above Unicode's range are invalid. */
	if (value < least[len] || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff)
		return 0;
	return is_control(value) ? 0 : len;
}

/* Whether a text is one line without hidden characters: what you read is what runs. */
static bool is_plain(const char *s)
{
	size_t len;

	while (*s) {
		len = *s == '\t' ? 1 : character((const unsigned char *)s);
		if (!len)
			return false;
		s += len;
	}
	return true;
}

/*
 * Prints an untrusted text: bytes that are invalid UTF-8 or control characters are
 * written as \xNN, in JSON too.
 */
static void print(const char *s)
{
	while (*s) {
		size_t len = character((const unsigned char *)s);

		if (!len)
			printf(form == JSON ? "\\\\x%02x" : "\\x%02x", (unsigned char)*s);
		else if (form == JSON && (*s == '"' || *s == '\\'))
			printf("\\%c", *s);
		else
			printf("%.*s", (int)len, s);
		s += len ?: 1;
	}
}

static void print_string(const char *s)
{
	if (!s) {
		printf("null");
		return;
	}
	putchar('"');
	print(s);
	putchar('"');
}

static void print_json(void)
{
	static const char * const words[] = { "ok", "note", "broken" };

	printf("%s\n  {\"id\": \"%s\", \"status\": \"%s\", \"text\": ", findings > 1 ? "," : "",
	       last.id, words[last.status]);
	print_string(last.text);
	printf(", \"advice\": ");
	print_string(last.advice);
	putchar('}');
}

static void print_line(void)
{
	static const char * const words[] = { "ok", "note", "BROKEN" };

	printf("%-8s ", words[last.status]);
	print(last.text);
	if (last.advice) {
		printf(": ");
		print(last.advice);
	}
	putchar('\n');
}

static void print_mending(void)
{
	if (last.status != BROKEN && !last.is_unknown)
		return;
	printf("\n# ");
	print(last.text);
	putchar('\n');
	if (last.mending && !last.is_by_hand) {
		printf("%s", last.mending);
	} else if (last.advice) {
		printf("# By hand: ");
		print(last.advice);
		putchar('\n');
	}
}

static void print_last(void)
{
	static void (* const print_as[])(void) = { print_line, print_json, print_mending };

	if (!findings)
		return;
	print_as[form]();
	/* A forked child must not print what is still in the buffer again. */
	fflush(stdout);
}

static void report(enum status status, const char *id, const char *format, va_list args)
{
	print_last();
	last.status = status;
	last.id = id;
	last.text = vtext(format, args);
	last.advice = NULL;
	last.mending = NULL;
	last.is_by_hand = false;
	last.is_unknown = false;
	findings++;
	problems += status == BROKEN;
}

void ok(const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(OK, id, format, args);
	va_end(args);
}

void note(const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(NOTE, id, format, args);
	va_end(args);
}

void broken(const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(BROKEN, id, format, args);
	va_end(args);
}

void advise(const char *format, ...)
{
	const char *more;
	va_list args;

	va_start(args, format);
	more = vtext(format, args);
	va_end(args);
	last.advice = last.advice ? text("%s%s", last.advice, more) : more;
}

void unseen(const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(NOTE, id, format, args);
	va_end(args);
	last.text = text("not checked: %s", last.text);
	last.is_unknown = true;
	unknowns++;
}

void mend(const char *format, ...)
{
	const char *more;
	va_list args;

	va_start(args, format);
	more = vtext(format, args);
	va_end(args);
	last.is_by_hand |= !is_plain(more);
	last.mending = text("%s%s\n", last.mending ?: "", more);
}

const char *quoted(const char *word)
{
	const char *made = "'", *end;

	while ((end = strchr(word, '\''))) {
		made = text("%s%.*s'\\''", made, (int)(end - word), word);
		word = end + 1;
	}
	return text("%s%s'", made, word);
}

const char *with_name(const char *format, const char *name)
{
	const char *made = "", *at;

	while ((at = strstr(format, "%s"))) {
		made = text("%s%.*s%s", made, (int)(at - format), format, name);
		format = at + 2;
	}
	return text("%s%s", made, format);
}

void report_begin(enum form wanted)
{
	form = wanted;
	if (form == JSON)
		printf("{\"version\": \"%s\", \"findings\": [", VERSION);
	else if (form == SCRIPT)
		print_script();
}

static const char *verdict(void)
{
	return problems ? "broken" : unknowns ? "unknown" : "good";
}

static void print_verdict(void)
{
	if (problems == 1)
		printf("verdict: BROKEN, 1 problem; see above for what to do\n");
	else if (problems)
		printf("verdict: BROKEN, %d problems; fix the first one first\n", problems);
	else if (unknowns)
		printf("verdict: unknown, as not everything could be checked; see above\n");
	else
		printf("verdict: good, /dev/ashmem works for this user\n");
}

static void print_end(void)
{
	if (form == JSON)
		printf("\n], \"problems\": %d, \"verdict\": \"%s\"}\n", problems, verdict());
	else if (form == SCRIPT)
		printf("\n# verdict: %s\n", verdict());
	else
		print_verdict();
}

int report_end(void)
{
	print_last();
	print_end();
	if (fflush(stdout) || ferror(stdout))
		return 2;
	return problems ? 1 : unknowns ? 3 : 0;
}
