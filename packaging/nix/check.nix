# SPDX-License-Identifier: GPL-2.0
#
# ashmem-check, which says what is wrong with a machine's ashmem.
{ lib, stdenv }:

stdenv.mkDerivation {
  pname = "ashmem-check";
  version = "1.0.0";
  src = lib.cleanSource ../..;

  buildPhase = ''
    runHook preBuild
    make -C tools/ashmem-check
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    install -D -t $out/bin tools/ashmem-check/ashmem-check
    install -D -m 644 -t $out/share/man/man1 debian/ashmem-check.1
    runHook postInstall
  '';

  meta = {
    description = "Tells why Android shared memory (ashmem) does not work";
    license = lib.licenses.gpl2Only;
    mainProgram = "ashmem-check";
    platforms = lib.platforms.linux;
  };
}
