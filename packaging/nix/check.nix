# SPDX-License-Identifier: GPL-2.0
#
# ashmem-check, which finds problems with ashmem on a machine, and ashmem-top, which shows
# the regions and their processes.
{ lib, stdenv }:

stdenv.mkDerivation {
  pname = "ashmem-check";
  version = "1.0.0";
  src = lib.cleanSource ../..;

  buildPhase = ''
    runHook preBuild
    make -C tools/ashmem-check
    make -C tools/ashmem-top
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    install -D -t $out/bin tools/ashmem-check/ashmem-check tools/ashmem-top/ashmem-top
    install -D -m 644 -t $out/share/man/man1 debian/ashmem-check.1 debian/ashmem-top.1
    runHook postInstall
  '';

  meta = {
    description = "Tools that show why Android shared memory (ashmem) does not work, and who uses it";
    license = lib.licenses.gpl2Only;
    mainProgram = "ashmem-check";
    platforms = lib.platforms.linux;
  };
}
