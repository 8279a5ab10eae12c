// Where a node stands: whether a graph holds it, its id in a run, which model file its input `model` comes from.
const SUBGRAPH_INPUTS = -10; // the id, a number or a text, that links from the inputs of a subgraph have
const MUTED = 2, BYPASSED = 4; // modes of nodes

const linkOf = (graph, id) => graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;

const nodesOf = (graph) => graph?.nodes ?? graph?._nodes ?? [];

/** All nodes of a graph, and of the subgraphs in it. */
export const nodesIn = (graph) =>
  nodesOf(graph).flatMap((node) => [node, ...(node.subgraph ? nodesIn(node.subgraph) : [])]);

/** Whether `graph` is the root or a subgraph that is used in it. */
export const isIn = (root, graph) => graph != null && (graph === root || hostOf(root, graph) !== null);

/** The node that stands for `graph` in another graph, looked for from the root. */
const hostOf = (root, graph) => nodesIn(root).find(({ subgraph }) => subgraph && subgraph === graph) ?? null;

/** The node's id in the graph that is run, such as "3", or "7:3" within a subgraph. */
export const executionId = (node, root, host = hostOf(root, node.graph)) =>
  (host ? `${executionId(host, root)}:${node.id}` : String(node.id));

const takesModel = ({ type }) => type === "CLDIS_MODEL" || type === "*";

/** Whether a model may come over a link: not from a node that is muted, nor from one that is bypassed and gets none. */
const givesModel = (graph, id, source = graph.getNodeById(linkOf(graph, id)?.origin_id)) => id != null &&
  source?.mode !== MUTED && (source?.mode !== BYPASSED || source.inputs?.some(takesModel));

/** The names chosen in the loaders, through reroutes, switches and subgraphs; the likeliest first. */
export function modelNames(node, root) {
  const seen = new Set(); // nodes, each asked once: links may run in a circle, or apart and together again
  const leading = (graph, input) => {
    const link = !graph || input?.link == null ? null : linkOf(graph, input.link);
    if (!link) return [];
    if (Number(link.origin_id) === SUBGRAPH_INPUTS) {
      const host = hostOf(root, graph);
      return leading(host?.graph, host?.inputs?.[link.origin_slot]);
    }
    let source = graph.getNodeById(link.origin_id), slot = link.origin_slot;
    while (source?.subgraph) { // its output leads to a node inside
      const inside = linkOf(source.subgraph, source.subgraph.outputs?.[slot]?.linkIds?.[0]);
      [source, slot] = [inside && source.subgraph.getNodeById(inside.origin_id), inside?.origin_slot];
    }
    if (!source || seen.has(source)) return [];
    seen.add(source);
    const widget = source.widgets?.find((each) => each.name === "model_name");
    if (widget) return [promoted(source, root) ?? widget.value];
    return (source.inputs ?? []).filter((each) => takesModel(each) && givesModel(source.graph, each.link))
      .flatMap((each) => leading(source.graph, each));
  };
  return leading(node.graph, node.inputs?.find((each) => each.name === "model"));
}

/** The value of `model_name` where a subgraph node shows it in place of the loader. */
function promoted(loader, root) {
  const input = loader.inputs?.find((each) => each.widget?.name === "model_name");
  const link = input?.link == null ? null : linkOf(loader.graph, input.link);
  if (Number(link?.origin_id) !== SUBGRAPH_INPUTS) return null;
  const host = hostOf(root, loader.graph), name = host?.inputs?.[link.origin_slot]?.name;
  return host?.widgets?.find((each) => each.name === name)?.value ?? null;
}
