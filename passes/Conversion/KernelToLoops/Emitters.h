// The registry's interface: one emitter for each kernel operation. An emitter writes, at the
// builder's place, loops over the tasks [begin, end) of an operation on memrefs; what a task is
// says docs/decisions/0001. The operation itself is erased by the caller.
#pragma once

#include "ir/Kernel/Kernel.h"
#include "passes/Conversion/KernelToLoops/TargetInfo.h"

namespace gcompile::kernel {

struct TaskRange {
  mlir::Value begin, end; // index
};

mlir::LogicalResult emit(mlir::OpBuilder &builder, GatherRowsOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, QuantizeRowsOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, RoundRowsOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, MatmulFloatOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, MatmulIntegerOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, RmsNormOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, RopeTableOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, RopeOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, AppendKvOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, AttendOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, GeluMulOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, AddOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, SoftCapOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, GeluMulHalvesOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, ChooseExpertsOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, GroupRowsOp op, TaskRange tasks,
                         const TargetInfo &target);
mlir::LogicalResult emit(mlir::OpBuilder &builder, CombineExpertsOp op, TaskRange tasks,
                         const TargetInfo &target);

} // namespace gcompile::kernel
