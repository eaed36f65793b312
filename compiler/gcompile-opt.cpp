// gcompile-opt: runs passes and pipelines of gcompile on textual IR (for tests and for looking at
// one step).
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "targets/CodegenPipeline.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  gcompile::registerModelDialects(registry);
  gcompile::registerGcompilePasses();
  gcompile::registerPipelines();
  gcompile::registerCodegenPipeline();
  mlir::registerTransformsPasses();
  mlir::bufferization::registerBufferizationPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "gcompile-opt: passes of gcompile on textual IR\n", registry));
}
