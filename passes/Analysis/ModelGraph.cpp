#include "passes/Analysis/ModelGraph.h"
#include "ir/Gemma/Gemma.h"
#include "llvm/Support/ErrorHandling.h"
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/throw_exception.hpp>

// Boost asks for these where exceptions are off; no algorithm used here throws on a valid graph.
namespace boost {
void throw_exception(const std::exception &exception) {
  llvm::report_fatal_error(exception.what());
}
void throw_exception(const std::exception &exception, const source_location &) {
  llvm::report_fatal_error(exception.what());
}
} // namespace boost

using namespace mlir;

namespace gcompile {

ModelGraph::ModelGraph(func::FuncOp program) {
  llvm::DenseMap<StringAttr, SmallVector<Operation *>> writers; // of a cache, so far
  for (Operation &op : program.front()) {
    vertices[&op] = boost::add_vertex(&op, operations);
    for (Value operand : op.getOperands())
      if (Operation *definition = operand.getDefiningOp())
        boost::add_edge(vertices.lookup(definition), vertices.lookup(&op), operations);
    if (auto append = dyn_cast<gemma::AppendKvOp>(op))
      writers[append.getCacheAttr().getAttr()].push_back(&op);
    else if (auto attention = dyn_cast<gemma::AttentionOp>(op))
      for (Operation *writer : writers.lookup(attention.getCacheAttr().getAttr()))
        boost::add_edge(vertices.lookup(writer), vertices.lookup(&op), operations);
  }
}

llvm::DenseSet<Operation *> ModelGraph::feeding(ArrayRef<Operation *> results) const {
  auto reversed = boost::make_reverse_graph(operations);
  std::vector<boost::default_color_type> colors(boost::num_vertices(operations));
  auto colorMap = boost::make_iterator_property_map(colors.begin(),
                                                    boost::get(boost::vertex_index, operations));
  boost::queue<Graph::vertex_descriptor> queue;
  for (Operation *result : results)
    boost::breadth_first_visit(reversed, vertices.lookup(result), queue,
                               boost::default_bfs_visitor(), colorMap);
  llvm::DenseSet<Operation *> reached;
  for (auto [vertex, end] = boost::vertices(operations); vertex != end; ++vertex)
    if (colors[*vertex] != boost::white_color)
      reached.insert(operations[*vertex]);
  return reached;
}

} // namespace gcompile
