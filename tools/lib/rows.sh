# The rows of tools/test. Sourced after dependencies.sh.
#
#   row_tests [CTEST ARGUMENT ...]   the build and its tests
#   row_cuda        the kernels and NCCL compile and link; run where a GPU is
#   row_asan        chosen tests under AddressSanitizer and UBSan
#   row_tsan        the tests of concurrency under ThreadSanitizer
#   row_clang       clang's thread-safety analysis of all of src
#   row_tidy        clang-tidy over all of src
#   row_fuzz        every fuzz target by libFuzzer for VARALIGN_FUZZ_SECONDS
#
# A row works in a build directory of its own and ends 0 or, having failed,
# otherwise. One that runs ctest leaves its report there and ends 0 once the
# tests were run; tools/count_tests.py reads what they say.

readonly CLANG=19
readonly CLANG_PACKAGES=(clang-$CLANG clang-tidy-$CLANG "libclang-rt-$CLANG-dev")
readonly CUDA_VERSION=13.0.2
readonly CUDA_SITE="$VARALIGN_CACHE/cuda-$CUDA_VERSION"

# Without torch: a sanitizer sees all of what they run.
readonly ASAN_TESTS=(
  bounded_queue_test clock_test digest_test exit_code_test file_test
  host_port_test json_test logging_test progress_test safetensors_test
  subprocess_test utf8_test
  config_bad_config_test config_nearest_test config_run_config_loader_test
  config_schema_test config_yaml_tree_test config_reference_test
  telemetry_http_endpoint_test telemetry_metrics_test
  telemetry_process_stats_test
  rpc_backoff_test rpc_channel_test rpc_grpc_server_test rpc_status_test
  tokenizer_test chat_template_test
  plan_test manifest_test dataset_test row_source_test row_format_test
  objective_test
  coordinator_decisions_test coordinator_simulation_test coordinator_test
  coordinator_storage_test
  reward_server_admission_test reward_server_batch_cut_test
  reward_server_batch_scoring_test reward_server_scheduler_test
  reward_server_score_store_test reward_server_server_test
  rank_flags_test lease_keeper_test step_reporter_test
  fuzz_corpus_test
)
# Not reward_server_server_test: its calls are callbacks of an uninstrumented
# gRPC, and what orders one after another happens inside of that.
readonly TSAN_TESTS=(
  bounded_queue_test progress_test subprocess_test
  telemetry_http_endpoint_test telemetry_metrics_test
  rpc_channel_test rpc_grpc_server_test
  coordinator_test coordinator_simulation_test
  reward_server_scheduler_test
  lease_keeper_test step_reporter_test
)

# run_ctest BUILD [CTEST ARGUMENT ...]
run_ctest() {
  local build=$1
  shift
  rm -rf "$build/test_reports"
  mkdir -p "$build/test_reports"
  ctest --test-dir "$build" --output-on-failure --no-tests=error \
    --output-junit test_reports/ctest.xml "$@" || true
  [ -s "$build/test_reports/ctest.xml" ]
}

# The entries of these names, whole.
names_pattern() { (IFS='|'; echo "^($*)\$"); }

row_tests() {
  configure_and_build build
  # Tests of processes that are killed may lose a race on a loaded machine: a
  # second try, which ctest prints, tells a race from a defect.
  run_ctest build --repeat until-pass:2 "$@"
}

# The toolkit's compiler and libraries come from wheels, pinned: without the
# last two pins pip brings an nvvm that ptxas of this toolkit refuses.
install_cuda() {
  export VARALIGN_CUDA_ROOT="${VARALIGN_CUDA_ROOT:-$CUDA_SITE/nvidia}"
  [ -x "$VARALIGN_CUDA_ROOT/cu13/bin/nvcc" ] && return
  say "installing the CUDA toolkit $CUDA_VERSION (0.5 GiB) to $CUDA_SITE"
  local partial="$CUDA_SITE.partial"
  rm -rf "$partial"
  python3 -m pip install --quiet --no-compile --disable-pip-version-check \
    --root-user-action ignore --target "$partial" \
    "cuda-toolkit[nvcc,cccl,cudart,cupti]==$CUDA_VERSION" \
    nvidia-nccl-cu13==2.28.9 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
  rm -rf "$CUDA_SITE"
  mv "$partial" "$CUDA_SITE"
}

row_cuda() {
  install_cuda
  configure build-cuda -DVARALIGN_CUDA=ON
  build_targets build-cuda kernel_check
  local status=0 result=passed
  build-cuda/tests/cuda/kernel_check || status=$?
  case $status in
    0) ;;
    77) result=skipped ;;
    *) return $status ;;
  esac
  printf 'kernel_check\t%s\n' $result >>"$ROWS_FILE"
}

# sanitizer_row KIND TEST...
sanitizer_row() {
  local kind=$1
  shift
  local build=build-$kind
  configure "$build" --preset "$kind"
  build_targets "$build" "$@"
  run_ctest "$build" -R "$(names_pattern "$@")"
}

# The runtime, MPI and hwloc keep some memory to the end: what leaks is asked of
# no program here.
row_asan() {
  ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1 \
    UBSAN_OPTIONS=print_stacktrace=1 sanitizer_row asan "${ASAN_TESTS[@]}"
}

# Debian's gRPC and Abseil are not instrumented; what happens inside them is
# theirs.
row_tsan() {
  TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1 \
    sanitizer_row tsan "${TSAN_TESTS[@]}"
}

row_clang() {
  install_debian_packages "${CLANG_PACKAGES[@]}"
  configure build
  build_targets build generated
  python3 tools/check_clang.py build thread-safety
}

row_tidy() {
  install_debian_packages "${CLANG_PACKAGES[@]}"
  configure build
  build_targets build generated
  python3 tools/check_clang.py build tidy
}

row_fuzz() {
  install_debian_packages "${CLANG_PACKAGES[@]}"
  configure build-fuzz --preset fuzz
  build_targets build-fuzz fuzzers
  local target corpus failed=0
  for target in build-fuzz/tests/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    corpus=build-fuzz/corpus/${target##*/fuzz_}
    mkdir -p "$corpus"
    say "${target##*/}"
    ASAN_OPTIONS=detect_leaks=0 "$target" "$corpus" \
      "tests/fuzz/corpus/${target##*/fuzz_}" -artifact_prefix="$corpus." \
      -max_total_time="${VARALIGN_FUZZ_SECONDS:-60}" -max_len=16384 \
      -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
      -verbosity=0 || failed=1
  done
  return $failed
}

# run_row NAME [ARGUMENT ...]: its end goes to $ROWS_FILE, unless
# its own report says it.
run_row() {
  local row=$1 status result=passed
  shift
  say "row $row"
  set +e
  (set -e; "row_$row" "$@")
  status=$?
  set -e
  [ $status = 0 ] || result=failed
  case $row:$status in
    tests:0 | asan:0 | tsan:0) ;;
    *) printf '%s\t%s\n' "$row" $result >>"$ROWS_FILE" ;;
  esac
}
