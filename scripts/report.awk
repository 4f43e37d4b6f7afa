# SPDX-License-Identifier: GPL-2.0
#
# Reads the results of a leg: KTAP in sections, each between '## begin SUITE' and
# '## status EXIT-STATUS'. Prints a line per suite, and what is known about each
# failure and skip; writes 'PASSED FAILED SKIPPED' to the file named by 'totals'.
#
# A suite that ends otherwise than by its plan, or that ran no test, has failed,
# and so has one of those named in 'expected', a line each, that did not run.

function begin(name) {
	suite = name
	begun[name] = 1
	passed = failed = skipped = planned = blanket = 0
	said = ""
	# KUnit counts tests one level deeper, its suites on the first.
	indent = name == "kunit" ? "    " : ""
}

function problem(text) {
	failed++
	printf "  %s: %s: FAILED: %s\n%s", leg, suite, text, said
	said = ""
}

function finish(status) {
	if (!blanket && passed + failed + skipped == 0)
		problem("it ran no test")
	else if (!blanket && passed + failed + skipped != planned)
		problem(planned " tests were planned")
	# 4 is kselftest's word for 'skipped'.
	if (status != 0 && status != 4 && failed == 0)
		problem("it ended with status " status)
	printf "%s: %s: %d passed, %d failed, %d skipped\n", leg, suite, passed, failed, skipped
	fflush()
	all_passed += passed
	all_failed += failed
	all_skipped += skipped
	suite = ""
}

{ sub(/\r$/, "") }

/^## begin / { begin(substr($0, 10)); next }
/^## status / { finish($3); next }
suite == "" { next }

# 'A plan of no test' is how a whole suite is skipped.
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
	} else {
		passed++
	}
	said = ""
	next
}
$0 ~ "^" indent "not ok [0-9]+" { problem(substr($0, index($0, "not ok "))); next }

# What came before a failure may say why.
{ said = substr(said "    " $0 "\n", length(said) > 8000 ? length($0) : 1) }

END {
	if (suite != "") {
		problem("it did not end")
		# That says it all.
		blanket = 1
		finish(0)
	}
	names = split(expected, name, "\n")
	for (i = 1; i <= names; i++)
		if (!(name[i] in begun)) {
			printf "  %s: %s: FAILED: it did not run\n", leg, name[i]
			all_failed++
		}
	print all_passed + 0, all_failed + 0, all_skipped + 0 > totals
}
