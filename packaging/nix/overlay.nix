# SPDX-License-Identifier: GPL-2.0
#
# Adds rust_ashmem to the packages of each kernel, and ashmem-check.
final: prev: {
  ashmem-check = final.callPackage ./check.nix { };
  linuxKernel = prev.linuxKernel // {
    packagesFor = kernel:
      (prev.linuxKernel.packagesFor kernel).extend (self: super: {
        rust_ashmem = self.callPackage ./package.nix { };
      });
  };
}
