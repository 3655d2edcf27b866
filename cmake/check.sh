#!/usr/bin/env bash
# The rules a machine can see in the sources, without building; ./dev check runs it from the root.
# Every rule prints what breaks it and the remedy; the exit status is 1 if any is broken.
set -euo pipefail

broken=0
report() { # RULE FINDINGS
  if [ -z "$2" ]; then
    echo "ok      $1"
  else
    printf 'BROKEN  %s\n%s\n' "$1" "$2"
    broken=1
  fi
}

# Tracked and new files by pattern; a file deleted but not yet committed is left out.
files() { # PATTERN...
  git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
  done
}

check_format() {
  files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs -r -P 2 -I{} bash -c '
    clang-format-14 --dry-run -Werror "$1" >/dev/null 2>&1 || echo "$1"' check {}
}

check_length() {
  files '*.cpp' '*.h' '*.cu' '*.cuh' '*.cmake' '*CMakeLists.txt' '*.sh' dev | xargs -r wc -l |
    awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}'
}

compile_headers() { # COMPILER_OPTION...; headers on standard input
  xargs -r -P 2 -I{} bash -c '
    printf "#include \"%s\"\n" "$1" |
      c++ -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I. "${@:2}" -x c++ - 2>&1 || true' check {} "$@"
}

# Those of CUDA kernels as the emulated device sees them; what needs CUDA's own headers is left to
# the build.
check_headers() {
  # shellcheck disable=SC2046
  files '*.h' ':!kernels/cuda/' |
    compile_headers '-DBATCHWISE_SOURCE_DIR="."' $(pkg-config --cflags eigen3 2>/dev/null)
  files 'kernels/cuda/*.h' '*.cuh' | xargs -r grep -LE '#include (<cuda_|"kernels/cuda/check.h")' |
    compile_headers -DBATCHWISE_EMULATION -Wno-unknown-pragmas
}

# Launches that a stream, a check and the emulated device know of.
check_launches() {
  files 'kernels/*.cu' 'kernels/*.cuh' | xargs -r grep -n '<<<' || true
}

# With bounds the compiler knows how many registers a thread may have.
check_launch_bounds() {
  files 'kernels/*.cu' 'kernels/*.cuh' | xargs -r awk '
    FNR == 1 {kernel = ""}
    kernel != "" && !/__launch_bounds__/ {print kernel}
    {kernel = ""}
    /__global__/ && !/__launch_bounds__/ {kernel = FILENAME ":" FNR ": " $0}'
}

check_paths() {
  files | grep -v '^LICENSE$' | xargs -r grep -nIE '(^|[^[:alnum:]_.-])/(work|home|root|Users)/' || true
}

check_unfinished() {
  files '*.cpp' '*.h' '*.cu' '*.cuh' '*.cmake' '*CMakeLists.txt' '*.md' |
    xargs -r grep -nIwE 'TODO|FIXME|XXX|(TEST|TEST_F|TEST_P)\(.*DISABLED_.*' || true
}

# A link must lead to a file of the repository, or to a folder that holds one.
check_links() {
  local page target
  files '*.md' | while IFS= read -r page; do
    { grep -oE '\]\([^)[:space:]]+\)' "$page" || true; } | sed -E 's/^\]\(//; s/\)$//; s/#.*$//' |
      while IFS= read -r target; do
        case $target in "" | *:*) continue ;; esac
        [ -n "$(files "$(dirname "$page")/$target" 2>/dev/null)" ] || echo "$page: $target"
      done
  done
}

# A source is named, by its path from there, in the CMakeLists.txt of its folder or of one above; a
# fuzz target's source is named after the target.
check_listed() {
  local source folder name
  files 'apps/*.cpp' 'engine/*.cpp' 'kernels/*.cpp' 'kernels/*.cu' 'profiling/*.cpp' 'tests/*.cpp' ':!tests/fuzz/' |
    while IFS= read -r source; do
      folder=$source
      while [ "$folder" != . ]; do
        folder=$(dirname "$folder")
        name=${source#"$folder"/}
        if [ -f "$folder/CMakeLists.txt" ] &&
          grep -qxF "$name" < <(tr -s ' \t()"' '\n' <"$folder/CMakeLists.txt"); then
          continue 2
        fi
      done
      echo "$source"
    done
}

check_globs() {
  files '*CMakeLists.txt' '*.cmake' | xargs -r grep -nE 'file\(GLOB' || true
}

check_scripts() {
  local script
  for script in dev .ci/run $(files '*.sh'); do
    bash -n "$script" 2>&1 || true
    [ -x "$script" ] || echo "$script: not executable (chmod +x)"
  done
  for script in $(files '*.py'); do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$script" 2>&1 || true
  done
  cmake --list-presets 2>&1 >/dev/null || true
}

report "sources are in clang-format's form (clang-format-14 -i FILE)" "$(check_format)"
report "no source has more than 600 lines (split it by subject)" "$(check_length)"
report "every header compiles alone, without warnings" "$(check_headers)"
report "kernels are launched through launch<> alone (no <<<)" "$(check_launches)"
report "every kernel has __launch_bounds__" "$(check_launch_bounds)"
report "no path of one machine in any file" "$(check_paths)"
report "nothing is left open or disabled" "$(check_unfinished)"
report "relative links in documents resolve" "$(check_links)"
report "every source is listed in a CMakeLists.txt" "$(check_listed)"
report "sources are listed, not globbed" "$(check_globs)"
report "scripts and presets parse" "$(check_scripts)"
exit $broken
