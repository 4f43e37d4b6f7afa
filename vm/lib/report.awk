# SPDX-License-Identifier: GPL-2.0
#
# Reads the results of a leg: KTAP in sections, each between '## begin SUITE' and
# '## status EXIT-STATUS'. Prints a line per suite, and the details of each failure and
# skip. Writes 'PASSED FAILED SKIPPED' to the file in 'totals', followed by a line for
# each failure with the last output before it.
#
# A suite fails if it does not end as planned, or runs no test. A suite in 'expected',
# which has one name per line, fails if it does not run.
#
# 'corrections' is a file of lines 'SUITE TEST REASON': these tests must fail. They
# count as corrected instead of failed, as a fourth number in the totals. A line whose
# test does not fail is a failure.

BEGIN {
	good = "passed"
	bad = "failed"
	if (corrections != "") {
		good = "same"
		bad = "unexplained"
		read_corrections()
	}
}

function read_corrections(  line, word) {
	while ((getline line < corrections) > 0) {
		if (line ~ /^#/ || split(line, word) < 3)
			continue
		sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]+/, "", line)
		reason[word[1], word[2]] = line
	}
}

# Starts a suite. The base name is without the width that a section adds.
function begin(name) {
	unfinished()
	suite = base = name
	begun[name] = 1
	sub(/ .*/, "", base)
	passed = failed = skipped = corrected = planned = blanket = 0
	said = ""
	split("", seen)
	ran[base]
	# KUnit has tests on the second level, below its suites.
	indent = name == "kunit" ? "    " : ""
}

# Ends a suite without a status.
function unfinished() {
	if (suite == "")
		return
	problem("it did not end")
	# No other problem needs to be reported.
	blanket = 1
	finish(0)
}

function problem(text) {
	failed++
	printf "  %s: %s: %s: %s\n%s", leg, suite, toupper(bad), text, said
	remember(suite ": " text, said)
	said = ""
}

function remember(text, why,  line, lines) {
	lines = split(why, line, "\n")
	why = lines > 1 ? line[lines - 1] : ""
	sub(/^ *#? */, "", why)
	failures = failures leg ": " text (why != "" ? " (" why ")" : "") "\n"
}

# The name of the test in a result line, after its number.
function test_of(line) {
	sub(/^ *(not )?ok [0-9]+ */, "", line)
	sub(/ *#.*/, "", line)
	seen[line]
	return line
}

function failure(line,  test) {
	test = test_of(line)
	if (!((base, test) in reason)) {
		problem(substr(line, index(line, "not ok ")))
		return
	}
	corrected++
	printf "  %s: %s: corrected: %s: %s\n", leg, suite, test, reason[base, test]
	said = ""
}

function success(line,  test) {
	test = test_of(line)
	if ((base, test) in reason) {
		said = ""
		problem(test " passes, but is expected to fail: " reason[base, test])
		return
	}
	passed++
	said = ""
}

# Reports corrections for tests that do not exist in a suite.
function find_stale(  key, part) {
	said = ""
	for (key in reason) {
		split(key, part, SUBSEP)
		if (part[1] == base && !(part[2] in seen))
			problem("no test is called " part[2])
	}
}

function finish(status, seconds,  ran_all) {
	ran_all = passed + failed + skipped + corrected
	if (!blanket && ran_all == 0)
		problem("it ran no test")
	else if (!blanket && ran_all != planned)
		problem(planned " tests were planned")
	else if (!blanket)
		find_stale()
	# In kselftest, status 4 means skipped, and 1 failed.
	if (status != 0 && status != 4 && failed == 0 && !(status == 1 && corrected))
		problem("it exited with status " status)
	printf "%s: %s: %d %s, ", leg, suite, passed, good
	if (corrections != "")
		printf "%d corrected, ", corrected
	printf "%d %s, %d skipped%s\n", failed, bad, skipped, (seconds >= 5 ? ", " seconds " s" : "")
	fflush()
	all_passed += passed
	all_failed += failed
	all_skipped += skipped
	all_corrected += corrected
	suite = ""
}

{ sub(/\r$/, "") }

/^## begin / { begin(substr($0, 10)); next }
/^## status / { finish($3, $4 + 0); next }
suite == "" { next }

# A plan of no tests skips a whole suite.
$0 ~ "^" indent "1\\.\\.0 # SKIP" {
	blanket = 1
	skipped++
	printf "  %s: %s: skipped: %s\n", leg, suite, substr($0, index($0, "SKIP") + 5)
	next
}
$0 ~ "^" indent "1\\.\\.[0-9]+" { sub(/^ *1\.\./, ""); planned += $1; next }
$0 ~ "^" indent "ok [0-9]+" {
	if (/# SKIP/) {
		skipped++
		printf "  %s: %s: skipped: %s\n", leg, suite, substr($0, index($0, "ok ") + 3)
		test_of($0)
		said = ""
	} else {
		success($0)
	}
	next
}
$0 ~ "^" indent "not ok [0-9]+" { failure($0); next }

# The output before a failure may explain it.
{ said = substr(said "    " $0 "\n", length(said) > 8000 ? length($0) : 1) }

END {
	unfinished()
	names = split(expected, name, "\n")
	for (i = 1; i <= names; i++)
		if (!(name[i] in begun)) {
			printf "  %s: %s: FAILED: it did not run\n", leg, name[i]
			remember(name[i] ": it did not run", "")
			all_failed++
		}
	for (key in reason) {
		split(key, part, SUBSEP)
		if (!(part[1] in ran)) {
			suite = part[1]
			problem("it did not run, but is expected to fail " part[2])
			all_failed++
		}
	}
	counts = all_passed + 0 " " all_failed + 0 " " all_skipped + 0
	if (corrections != "")
		counts = counts " " all_corrected + 0
	printf "%s\n%s", counts, failures > totals
}
