// What feeds what in one program, as a graph of its operations: an edge from an operation to each
// user of its results, and from each write of a cache to every later read of it. Vertices are in
// program order, which is a topological order. Built on Boost.Graph.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include <boost/graph/adjacency_list.hpp>

namespace gcompile {

class ModelGraph {
public:
  using Graph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, mlir::Operation *>;

  // `program` is a function of one block.
  explicit ModelGraph(mlir::func::FuncOp program);

  // The operations that at least one of `results` depends on, these included.
  llvm::DenseSet<mlir::Operation *> feeding(llvm::ArrayRef<mlir::Operation *> results) const;

  const Graph &graph() const { return operations; }

private:
  Graph operations;
  llvm::DenseMap<mlir::Operation *, Graph::vertex_descriptor> vertices;
};

} // namespace gcompile
