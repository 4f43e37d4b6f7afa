# SPDX-License-Identifier: GPL-2.0
#
# 'make help' lists the targets.

ifneq ($(words $(CURDIR)),1)
$(error The path of this checkout, '$(CURDIR)', has spaces, which make cannot handle: move it)
endif

KDIR ?= /lib/modules/$(shell uname -r)/build
prefix ?= /usr/local

all: modules

modules modules_install:
	@test -e $(KDIR)/Makefile || { \
		echo "error: $(KDIR) is not a kernel build directory. Run 'make doctor' to see what is missing."; \
		exit 1; \
	}
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

# The tools are installed, too, so build them first; the source for DKMS does not have them.
install install-files install-writable: $(if $(wildcard tools/ashmem-check/Makefile),tools)

install uninstall install-files uninstall-files install-writable:
	@KDIR="$(KDIR)" prefix="$(prefix)" DESTDIR="$(DESTDIR)" INSTALL_MOD_PATH="$(INSTALL_MOD_PATH)" \
		INIT="$(INIT)" MANAGER="$(MANAGER)" tools/install.sh $@

# rust_ashmem.rs is the only place that states the version.
version:
	@sed -n 's/^module::version!("\(.*\)");$$/\1/p' rust_ashmem.rs

tools:
	@$(MAKE) -C tools/ashmem-check
	@$(MAKE) -C tools/ashmem-top

dkms-install dkms-uninstall:
	@tools/dkms.sh $(@:dkms-%=%)

dkms-source:
	@tools/dkms.sh source "$(DESTDIR)"

deb test-package:
	@vm/legs/package.sh $(@:test-%=test)

clean:
	rm -rf out out-*
	@! test -e tools/ashmem-check/Makefile || $(MAKE) -C tools/ashmem-check clean
	@! test -e tools/ashmem-top/Makefile || $(MAKE) -C tools/ashmem-top clean
	@! test -e selftests/Makefile || $(MAKE) -C selftests clean KSFT=
	@! test -e $(KDIR)/Makefile || $(MAKE) -C $(KDIR) M=$(CURDIR) $@

demo demo-picture:
	@demo/demo.sh $(if $(findstring picture,$@),--picture) $(VM)

test:
	@KSRC="$(KSRC)" LONG=$(LONG) JOBS=$(JOBS) vm/test.sh $(VM)

test-android:
	@android/android.sh $(VM)

test-fresh:
	@vm/legs/fresh.sh "$(or $(RELEASE),trixie)" $(VM)

test-inits:
	@vm/legs/inits.sh $(INITS)

test-engines:
	@vm/legs/engines.sh $(ENGINES)

test-installed test-secureboot test-canary:
	@vm/legs/$(@:test-%=%).sh

torture:
	@vm/legs/torture.sh "$(VM)" "$(PAIRS)"

fuzz:
	@vm/legs/fuzz.sh "$(VM)" "$(SECONDS)" "$(SEED)" "$(CALLS)"

mutants:
	@vm/legs/mutants.sh "$(MUTANTS)"

coverage:
	@vm/legs/coverage.sh

bench:
	@bench/bench.sh run "$(DEVICE)" "$(MODULE2)" $(VM)

bench-check bench-baseline:
	@bench/bench.sh $(@:bench-%=%)

bench-shared:
	@bench/bench.sh shared "" "$(MODULE2)"

pressure:
	@MODULE2="$(MODULE2)" SCENARIOS="$(SCENARIOS)" bench/pressure.sh $(VM)

metadata metadata-check metadata-clean:
	@tools/metadata.sh $(patsubst metadata,lay,$(@:metadata-%=%)) "$(KDIR)"

test-all:
	@vm/test-all.sh "$(LEGS)"

intree:
	@KSRC="$(KSRC)" tools/intree.sh add

intree-remove:
	@KSRC="$(KSRC)" tools/intree.sh remove

check:
	@vm/legs/check.sh $(CHECKS)

doctor:
	@tools/doctor.sh

oracle:
	@vm/legs/oracle.sh

sign:
	@tools/sign.sh "$(KDIR)" "$(KEY)" "$(CERT)" "$(MODULE)"

help:
	@echo 'In a virtual machine, on Debian 12 or 13 (the first run needs root, to install'
	@echo 'packages):'
	@echo '  demo             share memory between processes and purge a cache'
	@echo '  demo-picture     make docs/demo.svg of the demo, and docs/ashmem-top.svg'
	@echo '  test             build and run most tests; test-all runs the others, too'
	@echo '  test-android     boot as Android does and share memory as its apps do'
	@echo '  test-installed   install the module on Debian with systemd, boot it, uninstall it'
	@echo '  test-inits       the same with OpenRC and udev, and with BusyBox and mdev'
	@echo '  test-engines     pass the device to containers of podman, Docker, containerd, LXC'
	@echo '                   and Incus'
	@echo '  test-secureboot  load the module signed and unsigned, under Secure Boot'
	@echo '  test-package     install, upgrade and remove the package, with two kernels (root)'
	@echo '  test-canary      build with the newest compilers, those of Debian sid'
	@echo '  test-fresh       run tests in a new Debian that has only git and make (root)'
	@echo '  test-all         all of these, with more kernels and versions of rustc; prints a'
	@echo '                   table (root)'
	@echo '  torture          pin and unpin a million times while everything purges'
	@echo '  fuzz             make random calls for SECONDS=60, or repeat those of a SEED='
	@echo '  mutants          insert faults into the driver and see which test detects them'
	@echo '  coverage         list the lines of the module that the tests do not execute'
	@echo '  bench            measure the cost of calls, in instructions (VM=debian: on its kernel)'
	@echo '  bench-check      compare the result with bench/baseline.json'
	@echo '  bench-baseline   rewrite bench/baseline.json'
	@echo '  bench-shared     list the cache lines that two CPUs both write to'
	@echo '  pressure         measure how much of a cache is left when memory gets short, next'
	@echo '                   to the C driver; prints a table and makes a picture'
	@echo '  oracle           run the selftests on the C driver, on an old kernel'
	@echo '  check            rustfmt, clippy, checkpatch, shellcheck, python (CHECKS= picks some)'
	@echo 'VM=uml, x86 or arm64 picks the machine for demo, test, fuzz and torture. test accepts'
	@echo 'more machines, and KERNEL=, KSRC= and RUST=: see vm/test.sh --help'
	@echo
	@echo 'For a kernel with CONFIG_RUST=y (KDIR=DIR, by default the running one):'
	@echo '  doctor           check whether this machine can build and load the module'
	@echo '  metadata         on Debian: build the Rust metadata that its headers lack (root)'
	@echo '  modules          build rust_ashmem.ko (the default)'
	@echo '  metadata-check   check that the module fits the kernel before it is loaded'
	@echo '  install          install the module, a udev rule and the tools, and load the'
	@echo '                   module at boot (root; see tools/install.sh --help)'
	@echo '  uninstall        unload the module and remove everything installed (root)'
	@echo '  install-files    install all but the module (root)'
	@echo '  uninstall-files  remove what install-files installed (root)'
	@echo '  install-writable install the module where /usr is read-only (root)'
	@echo '  tools            build ashmem-check, which reports what is wrong, and ashmem-top,'
	@echo '                   which lists regions; install builds them, too'
	@echo '  modules_install  install only the module, with the build system of the kernel'
	@echo '  sign             sign the module for Secure Boot (KEY=FILE CERT=FILE; the default'
	@echo '                   is the key of DKMS)'
	@echo '  metadata-clean   on Debian: remove what metadata built (root)'
	@echo '  dkms-install     have DKMS build and install it, for future kernels, too (root)'
	@echo '  dkms-uninstall   undo dkms-install (root)'
	@echo '  deb              build the package rust-ashmem-dkms, which uses DKMS (root)'
	@echo
	@echo 'For a kernel source tree (KSRC=DIR):'
	@echo '  intree           add the driver and its selftests'
	@echo '  intree-remove    remove them'
	@echo
	@echo '  version          print the version'
	@echo '  clean            remove what was built here'
	@echo
	@echo 'Downloads and kernels are kept in $${XDG_CACHE_HOME:-~/.cache}/rust-ashmem.'

.PHONY: all modules modules_install clean demo demo-picture test test-android test-installed test-engines test-inits test-all \
	torture fuzz mutants bench bench-check bench-baseline bench-shared pressure metadata metadata-check metadata-clean oracle check \
	intree intree-remove doctor help version install uninstall install-files uninstall-files install-writable sign \
	test-secureboot test-canary test-fresh coverage tools dkms-install dkms-uninstall dkms-source deb test-package
