# The four functions by which every target of the project is made. A target is
# a few short lists:
#
#   varalign_library(NAME log_weights SRCS ... HDRS ... DEPS ... [PRIVATE_DEPS ...])
#   varalign_binary(NAME varalign-worker SRCS ... DEPS ... [LIBEXEC])
#   varalign_test(NAME log_weights_test SRCS ... DEPS ... [TIMEOUT s] [LABELS ...])
#   varalign_proto_library(NAME reward_proto SRCS ... [GRPC] DEPS ...)
#
# `foo` becomes the target varalign_foo with the alias varalign::foo.
include(GoogleTest)

set(VARALIGN_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Werror
  # gcc 12 reports these inside inlined standard and protobuf code.
  -Wno-error=maybe-uninitialized -Wno-error=stringop-overflow
  -Wno-error=restrict -Wno-error=array-bounds)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # gcc decides on style; clang is here for what it alone sees.
  set(VARALIGN_WARNINGS -Wthread-safety -Werror=thread-safety)
  # Debian's libraries come from gcc: names of templates as it mangles them.
  add_compile_options(-fclang-abi-compat=17)
endif()

set(VARALIGN_SANITIZER "" CACHE STRING "address, thread or empty")
if(VARALIGN_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(VARALIGN_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
  # Debian's Abseil is not instrumented; see the file.
  add_library(varalign_tsan_mutex STATIC
    ${PROJECT_SOURCE_DIR}/tests/testing/tsan_mutex.cc)
  foreach(_method 4LockEv 6UnlockEv 5AwaitERKNS0_9ConditionE
      16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE)
    add_link_options(LINKER:--wrap=_ZN4absl7debian35Mutex${_method})
  endforeach()
  link_libraries(varalign_tsan_mutex)
elseif(NOT VARALIGN_SANITIZER STREQUAL "")
  message(FATAL_ERROR "VARALIGN_SANITIZER must be address, thread or empty, "
                      "got '${VARALIGN_SANITIZER}'")
endif()
if(VARALIGN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

function(varalign_library)
  cmake_parse_arguments(A "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS" ${ARGN})
  if(A_SRCS)
    add_library(varalign_${A_NAME} STATIC ${A_SRCS} ${A_HDRS})
    target_include_directories(varalign_${A_NAME} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_compile_options(varalign_${A_NAME} PRIVATE ${VARALIGN_WARNINGS})
    target_link_libraries(varalign_${A_NAME}
      PUBLIC ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS})
  else()
    add_library(varalign_${A_NAME} INTERFACE)
    target_include_directories(varalign_${A_NAME} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(varalign_${A_NAME} INTERFACE ${A_DEPS})
  endif()
  add_library(varalign::${A_NAME} ALIAS varalign_${A_NAME})
endfunction()

function(varalign_binary)
  cmake_parse_arguments(A "LIBEXEC" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${A_NAME} ${A_SRCS})
  target_compile_options(${A_NAME} PRIVATE ${VARALIGN_WARNINGS})
  target_link_libraries(${A_NAME} PRIVATE ${A_DEPS})
  set(_directory bin)
  if(A_LIBEXEC)
    set(_directory libexec/varalign)
  endif()
  set_target_properties(${A_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${_directory})
  install(TARGETS ${A_NAME} RUNTIME DESTINATION ${_directory})
endfunction()

function(varalign_test)
  cmake_parse_arguments(A "" "NAME;TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  add_executable(${A_NAME} ${A_SRCS})
  target_include_directories(${A_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  # A test's own code runs once: compiling it fast is what counts.
  target_compile_options(${A_NAME} PRIVATE ${VARALIGN_WARNINGS} -O0)
  target_link_libraries(${A_NAME} PRIVATE
    ${A_DEPS} GTest::gmock_main GTest::gtest)
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  # One ctest entry a binary: starting libtorch for each case would cost more
  # than the cases. tools/test counts the cases from GoogleTest's own report.
  add_test(NAME ${A_NAME} COMMAND ${A_NAME}
    --gtest_output=json:${CMAKE_BINARY_DIR}/test_reports/${A_NAME}.json)
  set_tests_properties(${A_NAME} PROPERTIES
    TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}"
    ENVIRONMENT "VARALIGN_BUILD_DIR=${CMAKE_BINARY_DIR};VARALIGN_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endfunction()

function(varalign_proto_library)
  cmake_parse_arguments(A "GRPC" "NAME" "SRCS;DEPS" ${ARGN})
  set(_out ${CMAKE_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${_out})
  set(_sources)
  foreach(_proto IN LISTS A_SRCS)
    string(REGEX REPLACE "\\.proto$" "" _stem ${_proto})
    set(_generated ${_out}/${_stem}.pb.cc ${_out}/${_stem}.pb.h)
    set(_flags --cpp_out=${_out})
    set(_plugin)
    if(A_GRPC)
      list(APPEND _generated ${_out}/${_stem}.grpc.pb.cc ${_out}/${_stem}.grpc.pb.h)
      list(APPEND _flags --grpc_out=${_out}
        --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
      set(_plugin gRPC::grpc_cpp_plugin)
    endif()
    add_custom_command(OUTPUT ${_generated}
      COMMAND protobuf::protoc -I ${PROJECT_SOURCE_DIR}/proto ${_flags}
              ${PROJECT_SOURCE_DIR}/proto/${_proto}
      DEPENDS ${PROJECT_SOURCE_DIR}/proto/${_proto} ${_plugin}
      VERBATIM)
    list(APPEND _sources ${_generated})
  endforeach()
  add_custom_target(varalign_${A_NAME}_generated DEPENDS ${_sources})
  add_dependencies(generated varalign_${A_NAME}_generated)
  add_library(varalign_${A_NAME} STATIC ${_sources})
  target_include_directories(varalign_${A_NAME} SYSTEM PUBLIC ${_out})
  target_link_libraries(varalign_${A_NAME} PUBLIC ${A_DEPS} protobuf::libprotobuf)
  if(A_GRPC)
    target_link_libraries(varalign_${A_NAME} PUBLIC gRPC::grpc++)
  endif()
  add_library(varalign::${A_NAME} ALIAS varalign_${A_NAME})
endfunction()
