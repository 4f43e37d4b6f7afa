# SPDX-License-Identifier: GPL-2.0
#
# The module for one kernel of nixpkgs: kernelPackages.callPackage ./package.nix { }. The
# kernel's dev output has the Rust metadata, and its moduleBuildDependencies the compiler.
{ lib, stdenv, kernel, kernelModuleMakeFlags ? kernel.commonMakeFlags or [ ] }:

stdenv.mkDerivation {
  pname = "rust_ashmem";
  version = "1.0.0-${kernel.version}";
  src = lib.cleanSource ../..;

  hardeningDisable = [ "pic" "format" ];
  nativeBuildInputs = kernel.moduleBuildDependencies;

  makeFlags = kernelModuleMakeFlags ++ [
    "KDIR=${kernel.dev}/lib/modules/${kernel.modDirVersion}/build"
  ];
  buildFlags = [ "modules" ];
  installFlags = [ "INSTALL_MOD_PATH=${placeholder "out"}" ];
  installTargets = [ "modules_install" ];

  meta = {
    description = "Android shared memory (ashmem), kernel module in Rust";
    license = lib.licenses.gpl2Only;
    platforms = [ "x86_64-linux" "aarch64-linux" ];
    broken = lib.versionOlder kernel.version (import ./oldest.nix);
  };
}
