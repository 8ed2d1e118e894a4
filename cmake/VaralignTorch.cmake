# Imported targets for libtorch without find_package(Torch): TorchConfig.cmake
# of a CUDA build insists on a CUDA toolkit that a CPU machine does not have.
#
#   VARALIGN_TORCH_ROOT   .../site-packages/torch, or an unzipped libtorch
#   varalign::torch       libtorch_cpu + libc10, headers exposed as SYSTEM
#
# The wheel's include directory also holds protobuf 3.13 and fmt 12 headers.
# In front of /usr/include they break protobuf 3.21 and spdlog, so only torch's
# own directories are exposed, through symbolic links in the build tree.
set(VARALIGN_TORCH_ROOT "$ENV{VARALIGN_TORCH_ROOT}" CACHE PATH
    "site-packages/torch or an unzipped libtorch")
find_path(VARALIGN_TORCH_INCLUDE ATen/ATen.h
  PATHS ${VARALIGN_TORCH_ROOT}/include NO_DEFAULT_PATH REQUIRED)
find_library(VARALIGN_TORCH_CPU_LIB torch_cpu
  PATHS ${VARALIGN_TORCH_ROOT}/lib NO_DEFAULT_PATH REQUIRED)
find_library(VARALIGN_C10_LIB c10
  PATHS ${VARALIGN_TORCH_ROOT}/lib NO_DEFAULT_PATH REQUIRED)

set(_torch_include ${CMAKE_BINARY_DIR}/torch_include)
file(MAKE_DIRECTORY ${_torch_include})
foreach(_directory ATen c10 caffe2 torch)
  file(CREATE_LINK ${VARALIGN_TORCH_INCLUDE}/${_directory}
       ${_torch_include}/${_directory} SYMBOLIC)
endforeach()

add_library(varalign::c10 SHARED IMPORTED)
set_target_properties(varalign::c10 PROPERTIES
  IMPORTED_LOCATION ${VARALIGN_C10_LIB})
target_include_directories(varalign::c10 SYSTEM INTERFACE
  ${_torch_include} ${_torch_include}/torch/csrc/api/include)

add_library(varalign::torch SHARED IMPORTED)
set_target_properties(varalign::torch PROPERTIES
  IMPORTED_LOCATION ${VARALIGN_TORCH_CPU_LIB})
target_link_libraries(varalign::torch INTERFACE varalign::c10)

# libtorch_cpu needs shared libraries of its sibling directories nvidia/*/lib.
file(GLOB _torch_siblings LIST_DIRECTORIES true
  ${VARALIGN_TORCH_ROOT}/../nvidia/*/lib)
foreach(_directory IN LISTS _torch_siblings)
  target_link_options(varalign::torch INTERFACE
    "LINKER:-rpath-link,${_directory}")
endforeach()
