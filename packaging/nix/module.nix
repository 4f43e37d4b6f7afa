# SPDX-License-Identifier: GPL-2.0
#
# For configuration.nix:
#
#   imports = [ /path/to/rust_ashmem/packaging/nix/module.nix ];
#   hardware.rust-ashmem.enable = true;
#   boot.kernelPackages = pkgs.linuxPackages_latest;
{ config, lib, pkgs, ... }:

let
  cfg = config.hardware.rust-ashmem;
  oldest = import ./oldest.nix;
  # The rule runs programs in /bin, where NixOS does not have them.
  rules = pkgs.writeTextFile {
    name = "rust-ashmem-rules";
    destination = "/lib/udev/rules.d/60-rust_ashmem.rules";
    text = builtins.replaceStrings
      [ "/bin/cat" "/bin/rm" "/bin/cp" "/bin/mv" ]
      (map (program: "${pkgs.coreutils}/bin/${program}") [ "cat" "rm" "cp" "mv" ])
      (builtins.readFile ../60-rust_ashmem.rules);
  };
in
{
  options.hardware.rust-ashmem = {
    enable = lib.mkEnableOption "Android shared memory, /dev/ashmem, by rust_ashmem";
    package = lib.mkOption {
      type = lib.types.package;
      default = config.boot.kernelPackages.callPackage ./package.nix { };
      defaultText = lib.literalExpression
        "config.boot.kernelPackages.callPackage ./package.nix { }";
      description = "The module, built for the kernel that boots.";
    };
    tools = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether ashmem-check is installed.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = lib.versionAtLeast config.boot.kernelPackages.kernel.version oldest;
        message = "rust_ashmem needs Linux ${oldest} or newer; set boot.kernelPackages = pkgs.linuxPackages_latest;";
      }
    ];
    boot.extraModulePackages = [ cfg.package ];
    boot.kernelModules = [ "rust_ashmem" ];
    services.udev.packages = [ rules ];
    environment.systemPackages =
      lib.mkIf cfg.tools [ (pkgs.callPackage ./check.nix { }) ];
  };
}
