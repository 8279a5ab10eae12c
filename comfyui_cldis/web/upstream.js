// Which model file the input `model` of a node comes from, through reroutes and subgraphs.

const SUBGRAPH_INPUTS = -10; // the id that links from a subgraph's own inputs have

const linkOf = (graph, id) =>
  graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;

/** The node that stands for `graph` in another graph, looked for from the root. */
function hostOf(root, graph) {
  for (const node of root?.nodes ?? root?._nodes ?? []) {
    if (!node.subgraph) continue;
    if (node.subgraph === graph) return node;
    const found = hostOf(node.subgraph, graph);
    if (found) return found;
  }
  return null;
}

/** The name chosen in the loader, or null where none can be found. */
export function modelName(node, root) {
  let graph = node.graph;
  let input = node.inputs?.find((each) => each.name === "model");
  for (let hops = 0; graph && input && hops < 100; hops++) {
    const link = input.link == null ? null : linkOf(graph, input.link);
    if (!link) return null;
    if (link.origin_id === SUBGRAPH_INPUTS) {
      const host = hostOf(root, graph);
      input = host?.inputs?.[link.origin_slot];
      graph = host?.graph;
      continue;
    }
    let source = graph.getNodeById(link.origin_id);
    for (let slot = link.origin_slot; source?.subgraph; ) {
      const inner = source.subgraph; // its output leads to a node inside
      const inside = linkOf(inner, inner.outputs?.[slot]?.linkIds?.[0]);
      source = inside ? inner.getNodeById(inside.origin_id) : null;
      slot = inside?.origin_slot;
    }
    if (!source) return null;
    const widget = source.widgets?.find((each) => each.name === "model_name");
    if (widget) return promoted(source, root) ?? widget.value;
    input = source.inputs?.find((each) => each.type === "CLDIS_MODEL" || each.type === "*");
    graph = source.graph;
  }
  return null;
}

/** The value of `model_name` where a subgraph node shows it in place of the loader. */
function promoted(loader, root) {
  const input = loader.inputs?.find((each) => each.widget?.name === "model_name");
  const link = input?.link == null ? null : linkOf(loader.graph, input.link);
  if (link?.origin_id !== SUBGRAPH_INPUTS) return null;
  const host = hostOf(root, loader.graph);
  const name = host?.inputs?.[link.origin_slot]?.name;
  return host?.widgets?.find((each) => each.name === name)?.value ?? null;
}
