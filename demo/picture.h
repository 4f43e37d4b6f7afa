/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text pictures: one after the other, or in a terminal each in place of the last one.
 */
#ifndef _SELFTESTS_ASHMEM_PICTURE_H
#define _SELFTESTS_ASHMEM_PICTURE_H

#include <stdio.h>
#include <string.h>
#include <time.h>

static enum { PLAIN, LIVE, COLOUR } picture_mode;

/* The number of lines of the picture that have been drawn. */
static int picture_lines;

static inline void picture_init(const char *mode)
{
	if (!strcmp(mode, "colour"))
		picture_mode = COLOUR;
	else if (!strcmp(mode, "live"))
		picture_mode = LIVE;
	/* Buffered, so that a picture is written at once. */
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
}

static inline void start_picture(void)
{
	if (picture_mode == PLAIN)
		puts("");
	else if (picture_lines)
		printf("\033[%dA", picture_lines);
	picture_lines = 0;
}

static inline void end_line(void)
{
	puts(picture_mode == PLAIN ? "" : "\033[K");
	picture_lines++;
}

static inline int colour_of(char c)
{
	switch (c) {
	case '.':
		return 31;
	case '-':
		return 33;
	case '#':
		return 32;
	case '+':
		return 35;
	case '=':
		return 36;
	default:
		return 0;
	}
}

static inline void draw(char c)
{
	int colour = picture_mode == COLOUR ? colour_of(c) : 0;

	if (colour)
		printf("\033[%dm%c\033[m", colour, c);
	else
		putchar(c);
}

/* The number of characters of a bar for a part of the whole. */
static inline int bar_share(long long part, long long whole, int width)
{
	long long share = part * width / whole;

	return share < 0 ? 0 : share > width ? width : share;
}

/* Draws a bar, which may be partly filled. */
static inline void draw_bar(const char *bar, int width)
{
	putchar('|');
	while (width-- > 0)
		draw(*bar ? *bar++ : ' ');
	putchar('|');
}

/* Waits so that a live picture can be seen. Plain pictures need no time. */
static inline void wait_for_viewer(int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	if (picture_mode != PLAIN)
		nanosleep(&time, NULL);
}

#endif /* _SELFTESTS_ASHMEM_PICTURE_H */
