// The graphs of a workflow: the root, and the definitions of its subgraphs, each of which many nodes may use.

export const linkOf = (graph, id) => graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;

const nodesOf = (graph) => graph?.nodes ?? graph?._nodes ?? [];

/** Map(graph -> Set(the nodes that stand for it)), the root first. Each is walked once, however often it is used. */
export function hostsIn(root) {
  const hosts = new Map(root ? [[root, new Set()]] : []);
  for (const graph of hosts.keys()) // which grow on the way
    for (const node of nodesOf(graph)) {
      if (!node.subgraph) continue;
      if (!hosts.has(node.subgraph)) hosts.set(node.subgraph, new Set());
      hosts.get(node.subgraph).add(node);
    }
  return hosts;
}

/** All nodes of a graph, and of the subgraphs in it. */
export const nodesIn = (root) => [...hostsIn(root).keys()].flatMap((graph) => [...nodesOf(graph)]);

/** Whether `graph` is the root or a subgraph that is used in it. */
export const isIn = (root, graph) => hostsIn(root).has(graph);

/** The node's id in the graph that is run, such as "3", or "7:3" within a subgraph; in several, that of the first. */
export function executionId(node, root) {
  const hosts = hostsIn(root);
  const idOf = ({ id, graph }) => {
    const [host] = hosts.get(graph) ?? [];
    return host ? `${idOf(host)}:${id}` : String(id);
  };
  return idOf(node);
}
