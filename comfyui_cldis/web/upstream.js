// Where a node stands: whether a graph holds it, its id in a run, which model file its input `model` comes from.
const UNSEEN = ""; // in place of a name that only a run can tell
const SUBGRAPH_INPUTS = -10; // the id, a number or a text, that links from the inputs of a subgraph have
const MUTED = 2, BYPASSED = 4; // modes of nodes

const linkOf = (graph, id) => graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;

const nodesOf = (graph) => graph?.nodes ?? graph?._nodes ?? [];

/** All nodes of a graph, and of the subgraphs in it. */
export const nodesIn = (graph) =>
  nodesOf(graph).flatMap((node) => [node, ...(node.subgraph ? nodesIn(node.subgraph) : [])]);

/** Whether `graph` is the root or a subgraph that is used in it. */
export const isIn = (root, graph) => graph != null && (graph === root || hostOf(root, graph) !== null);

/** The nodes that stand for `graph` in other graphs, looked for from the root. */
const hostsOf = (root, graph) => [...new Set(nodesIn(root).filter(({ subgraph }) => subgraph && subgraph === graph))];

const hostOf = (root, graph) => hostsOf(root, graph)[0] ?? null;

/** The node's id in the graph that is run, such as "3", or "7:3" within a subgraph. */
export const executionId = (node, root, host = hostOf(root, node.graph)) =>
  (host ? `${executionId(host, root)}:${node.id}` : String(node.id));

const takesModel = ({ type }) => type === "CLDIS_MODEL" || type === "*";

/** Whether a model may come over a link: not from a node that is muted, nor from one that is bypassed and gets none. */
const givesModel = (graph, id, source = graph.getNodeById(linkOf(graph, id)?.origin_id)) => id != null &&
  source?.mode !== MUTED && (source?.mode !== BYPASSED || source.inputs?.some(takesModel));

/**
 * The names chosen in the loaders, through reroutes, switches and subgraphs; the likeliest first.
 * Among them is "" where the name, or the model, comes from a node that does not show it.
 */
export function modelNames(node, root) {
  const seen = new Set(); // nodes, each asked once: links may run in a circle, or apart and together again
  const leading = (graph, input) => {
    const link = !graph || input?.link == null ? null : linkOf(graph, input.link);
    if (!link) return [];
    if (Number(link.origin_id) === SUBGRAPH_INPUTS)
      return hostsOf(root, graph).flatMap((host) => leading(host.graph, host.inputs?.[link.origin_slot]));
    let source = graph.getNodeById(link.origin_id), slot = link.origin_slot;
    while (source?.subgraph) { // its output leads to a node inside
      const inside = linkOf(source.subgraph, source.subgraph.outputs?.[slot]?.linkIds?.[0]);
      [source, slot] = [inside && source.subgraph.getNodeById(inside.origin_id), inside?.origin_slot];
    }
    if (!source || seen.has(source)) return [];
    seen.add(source);
    const widget = source.widgets?.find((each) => each.name === "model_name");
    const nameInput = source.inputs?.find((each) => each.widget?.name === "model_name");
    if (widget) return valuesOf(source, nameInput, widget.value, root);
    const models = (source.inputs ?? []).filter(takesModel);
    if (!models.length) return [UNSEEN]; // such as one that trains it
    return models.filter(({ link: id }) => givesModel(source.graph, id)).flatMap((each) => leading(source.graph, each));
  };
  return leading(node.graph, node.inputs?.find((each) => each.name === "model"));
}

/** What a run may take for `input`: `own`, or what the subgraph nodes hold that show it, out to the outermost. */
function valuesOf(node, input, own, root) {
  if (input?.link == null) return [own];
  const link = linkOf(node.graph, input.link);
  if (Number(link?.origin_id) !== SUBGRAPH_INPUTS) return [UNSEEN];
  return hostsOf(root, node.graph).flatMap((host) => {
    const outer = host.inputs?.[link.origin_slot], name = outer?.widget?.name ?? outer?.name;
    return valuesOf(host, outer, host.widgets?.find((each) => each.name === name)?.value ?? own, root);
  });
}
