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
		echo "error: $(KDIR) is no kernel build directory; 'make doctor' says what is missing."; \
		exit 1; \
	}
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

# What is installed besides the module may have to be built.
install install-files install-writable: $(if $(wildcard tools/ashmem-check/Makefile),tools)

install uninstall install-files uninstall-files install-writable:
	@KDIR="$(KDIR)" prefix="$(prefix)" DESTDIR="$(DESTDIR)" INSTALL_MOD_PATH="$(INSTALL_MOD_PATH)" \
		INIT="$(INIT)" MANAGER="$(MANAGER)" tools/install.sh $@

# There is no other place that says it.
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
	@echo 'In a virtual machine, on Debian 12 or 13 (the first run is root'\''s, to'
	@echo 'install packages):'
	@echo '  demo             boot one, see memory being shared and a cache being purged'
	@echo '  demo-picture     make docs/demo.svg of that, and docs/ashmem-top.svg'
	@echo '  test             build and run most tests; test-all has the others'
	@echo '  test-android     boot as Android does and share memory as its apps do'
	@echo '  test-installed   install it on Debian with systemd, boot that, uninstall it'
	@echo '  test-inits       the same with OpenRC and udev, and with BusyBox and mdev'
	@echo '  test-engines     give it to containers of podman, Docker, containerd, LXC and Incus'
	@echo '  test-secureboot  load it signed and unsigned, under Secure Boot'
	@echo '  test-package     install, upgrade and remove the package, two kernels (root)'
	@echo '  test-canary      build it with the newest compilers, those of Debian sid'
	@echo '  test-fresh       run tests in a new Debian that has git and make alone (root)'
	@echo '  test-all         all of these, on more kernels and with other rustcs; a table (root)'
	@echo '  torture          pin and unpin a million times while everything purges'
	@echo '  fuzz             make random calls for SECONDS=60, or again those of a SEED='
	@echo '  mutants          put faults into the driver and see which test notices'
	@echo '  coverage         say which lines of the module the tests execute'
	@echo '  bench            measure what calls cost, in instructions (VM=debian: on its kernel)'
	@echo '  bench-check      compare that with bench/baseline.json'
	@echo '  bench-baseline   write that file anew'
	@echo '  bench-shared     list what two CPUs write in common'
	@echo '  pressure         measure what is left of a cache when memory gets short, beside'
	@echo '                   the C driver; a table and a picture'
	@echo '  oracle           run the selftests on the C driver, on an old kernel'
	@echo '  check            rustfmt, clippy, checkpatch, shellcheck, python (CHECKS= picks some)'
	@echo '  VM=uml, x86 or arm64 picks a machine for demo, test, fuzz and torture; test knows'
	@echo '  others, and KERNEL=, KSRC= and RUST=: vm/test.sh --help'
	@echo
	@echo 'For a kernel with CONFIG_RUST=y (KDIR=DIR, by default the running one):'
	@echo '  doctor           tell whether this machine can build and load the module'
	@echo '  metadata         on Debian: make what its headers lack (root)'
	@echo '  modules          build rust_ashmem.ko (the default)'
	@echo '  metadata-check   prove that it fits the kernel before it is loaded'
	@echo '  install          install it and what belongs to it: a rule for udev, loading'
	@echo '                   at boot (root; tools/install.sh --help)'
	@echo '  uninstall        unload it and remove all that (root)'
	@echo '  install-files    install what belongs to it, without the module (root);'
	@echo '                   uninstall-files removes that'
	@echo '  install-writable install it where /usr cannot be written to (root)'
	@echo '  tools            build ashmem-check, which says what is wrong, and ashmem-top,'
	@echo '                   which shows who has what; install does'
	@echo '  modules_install  install the module alone, as the kernel'\''s build does'
	@echo '  sign             sign it for Secure Boot (KEY=FILE CERT=FILE; DKMS'\''s, by default)'
	@echo '  metadata-clean   on Debian: remove what metadata made (root)'
	@echo '  dkms-install     have DKMS build and install it, for later kernels, too (root)'
	@echo '  dkms-uninstall   remove all of that (root)'
	@echo '  deb              build the package rust-ashmem-dkms, which does that (root)'
	@echo
	@echo 'For a kernel source tree (KSRC=DIR):'
	@echo '  intree           put driver and selftests into it'
	@echo '  intree-remove    take them out'
	@echo
	@echo '  version          print the version'
	@echo '  clean            remove what was built here'
	@echo
	@echo 'Downloads and kernels are kept in $${XDG_CACHE_HOME:-~/.cache}/rust-ashmem.'

.PHONY: all modules modules_install clean demo demo-picture test test-android test-installed test-engines test-inits test-all \
	torture fuzz mutants bench bench-check bench-baseline bench-shared pressure metadata metadata-check metadata-clean oracle check \
	intree intree-remove doctor help version install uninstall install-files uninstall-files install-writable sign \
	test-secureboot test-canary test-fresh coverage tools dkms-install dkms-uninstall dkms-source deb test-package
