# SPDX-License-Identifier: GPL-2.0
#
# The oldest supported kernel, from tools/lib/kernels.sh.
let
  lines = builtins.split "\n" (builtins.readFile ../../tools/lib/kernels.sh);
  found = builtins.filter (line: builtins.isString line && builtins.match "OLDEST_KERNEL=.*" line != null) lines;
in
builtins.head (builtins.match "OLDEST_KERNEL=(.*)" (builtins.head found))
