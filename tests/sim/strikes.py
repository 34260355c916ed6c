"""What each kind of fault does when it strikes a process at a step."""

from typing import TYPE_CHECKING

from tests.sim.clock import Crash, Stuck

if TYPE_CHECKING:
    from tests.sim.member import Member
    from tests.sim.process import Process
    from tests.sim.world import World

HOUR_MS = 3_600_000


class ScorerBrokenError(RuntimeError):
    """The scorer's fault, not an event's."""


def strike(
    world: "World", kind: str, step: str, process: "Process", member: "Member | None"
) -> bool:
    """Let a fault strike; False: it cannot, here and now. Raises Crash where it ends a process."""
    chance, broker, clock = world.chance, world.broker, world.clock
    if kind in {"pause", "fence"} and (member is None or world.nested or member in world.zombies):
        return False
    world.plan.note(kind, step)
    match kind:
        case "crash":
            raise Crash
        case "pause" if member is not None:
            _pause(world, member)
        case "fence" if member is not None:
            world.zombies.append(member)
            world.members[member.instance] = None
            world.start(member.instance)
            world.others(chance.randrange(30))
        case "rebalance":
            world.ended.rebalances += 1
            broker.group.prepare()
        case "restart":
            broker.down_until_s = clock.now_s + chance.random() * 1.5
        case "time_out":
            clock.advance(world.shape.setup.transaction_timeout_s + 0.1)
            broker.expire()
        case "clock":
            clock.wall_offset_ms += chance.randrange(-2 * HOUR_MS, 2 * HOUR_MS)
        case "late_markers":
            world.late_next = True
        case "late_sends":
            process.sends_held = True
        case "lost_sends":
            (process.direct or process.producer).fails_next = True
        case "slow_scorer":
            clock.advance(world.shape.setup.limits.batch_deadline_s * 0.9)
        case "stuck_scorer":
            process.scorer_is_stuck = True
            raise Stuck
        case "broken_scorer":
            raise ScorerBrokenError("drawn")
        case _:
            raise ValueError(kind)
    return True


def _pause(world: "World", member: "Member") -> None:
    """Hold a process in the middle of a step while the others go on without it."""
    setup = world.shape.setup
    member.process.paused = True
    world.clock.advance(setup.session_timeout_s)
    if not member.is_out:
        world.broker.group.leave(member.instance)
    if world.chance.random() < 0.5:
        world.clock.advance(setup.transaction_timeout_s)
    world.others(world.chance.randrange(5, 80))
    member.process.paused = False
