// Socket.IO as its documentation shows it: each socket joins the room of its user.
// The control connection is a Socket.IO client too; see control.py for what it asks and is told.

import { createServer } from "node:http"
import { Server } from "socket.io"

const row = JSON.parse(process.env.BENCHMARK_ROW)
const http = createServer()
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false })

io.on("connection", (socket) => {
  const { user } = socket.handshake.auth
  if (user) {
    socket.join(`user:${user}`)
    socket.emit("joined")
  } else {
    socket.on("publish", async (burst) => {
      await publish(burst)
      const { user, system } = process.cpuUsage() // microseconds
      socket.emit("published", { cpu: (user + system) / 1e6 })
    })
    socket.emit("joined")
  }
})

async function publish({ first, users, number, rounds }) {
  for (let n = number; n < number + rounds; n++) {
    for (let user = first; user < first + users; user++) {
      io.to(`user:${user}`).emit("notification", { ...row, id: n, position: n, arrived: n })
    }
    await new Promise(setImmediate) // let the sockets write, as between two requests
  }
}

http.listen(Number(process.env.PORT), "127.0.0.1")
