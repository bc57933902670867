// Fails where this Node is older than client/package.json asks for.
const { engines } = require("../client/package.json")
process.exit(parseInt(process.versions.node) < parseInt(/\d+/.exec(engines.node)[0]) ? 1 : 0)
