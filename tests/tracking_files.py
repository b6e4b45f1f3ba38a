"""Small matches in the formats of tracking systems, made to their specifications."""

from __future__ import annotations

import json
from pathlib import Path

FRAMES = 50
"""Two seconds at 25 frames a second, for each of two periods where a format has periods."""


def metrica_csv(folder: Path) -> Path:
    """Home player 11 runs along the middle line of the pitch, away player 25 stands in a corner."""
    for side, number in (("Home", 11), ("Away", 25)):
        lines = [f",,,{side},,,", f",,,{number},,,", f"Period,Frame,Time [s],Player{number},,Ball,"]
        for frame in range(1, 2 * FRAMES + 1):
            period = 1 if frame <= FRAMES else 2
            place = f"{frame / 200:.5f},0.5" if side == "Home" else "1.0,0.0"
            ball = "NaN,NaN" if frame < 10 else "0.5,0.25"
            lines.append(f"{period},{frame},{frame / 25:.2f},{place},{ball}")
        (folder / f"{side.lower()}.csv").write_text("\n".join(lines) + "\n")
    return folder


def second_spectrum(folder: Path) -> Path:
    about = {
        "ssiId": "m1", "fps": 25, "pitchLength": 104.0, "pitchWidth": 67.0,
        "homeOptaId": "1", "awayOptaId": "2",
        "description": "FCA - FCB : 2020-8-23", "homeScore": 1, "awayScore": 0,
        "year": 2020, "month": 8, "day": 23, "startTime": 1598188500000,
        "periods": [{"number": 1, "startFrameIdx": 0, "endFrameIdx": FRAMES}],
        "homePlayers": [{"optaId": "h9", "name": "Anna Nine", "position": "CF", "number": 9}],
        "awayPlayers": [{"optaId": "a1", "name": "Bea One", "position": "GK", "number": 1}],
    }  # fmt: skip
    frames = [
        {
            "period": 1, "frameIdx": i, "gameClock": i / 25, "live": True, "lastTouch": "home",
            "homePlayers": [
                {"playerId": "h9", "number": 9, "xyz": [i / 10, 10.0, 0], "speed": 2.5}
            ],
            "awayPlayers": [
                {"playerId": "a1", "number": 1, "xyz": [-50.0, 0.0, 0], "speed": 0.0}
            ],
            "ball": {"xyz": [0.0, 0.0, 1.5], "speed": 10.0},
        }
        for i in range(FRAMES)
    ]  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(about))
    (folder / "tracking.jsonl").write_text("\n".join(json.dumps(f) for f in frames))
    return folder


def tracab(folder: Path) -> Path:
    (folder / "meta.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><TracabMetaData sVersion="1.0">'
        '<match iId="1" dtDate="2018-02-02 19:45:00" iFrameRateFps="25" fPitchXSizeMeters="105.00"'
        ' fPitchYSizeMeters="68.00" fTrackingAreaXSizeMeters="111" fTrackingAreaYSizeMeters="88">'
        f'<period iId="1" iStartFrame="100" iEndFrame="{100 + FRAMES - 1}"/>'
        '<period iId="2" iStartFrame="0" iEndFrame="0"/></match></TracabMetaData>'
    )
    lines = [
        f"{100 + i}:1,9,9,{i * 10},1000,2.50;0,4,1,-5000,0,0.00;:0,0,150,10.00,H,Alive;:"
        for i in range(FRAMES)
    ]
    (folder / "tracking.dat").write_text("\n".join(lines) + "\n")
    return folder


def skillcorner(folder: Path) -> Path:
    team = {"id": 1, "name": "FCA", "short_name": "A"}
    player = {
        "trackable_object": 11, "team_id": 1, "number": 9, "first_name": "Anna",
        "last_name": "Nine", "id": 100, "start_time": "00:00:00", "player_role":
        {"acronym": "CF", "id": 15},
    }  # fmt: skip
    about = {
        "id": 5, "date_time": "2020-08-23T15:00:00Z", "home_team": team,
        "away_team": {**team, "id": 2, "name": "FCB"}, "pitch_length": 105, "pitch_width": 68,
        "home_team_score": 0, "away_team_score": 0, "home_team_side": ["left_to_right"],
        "players": [
            player,
            {**player, "trackable_object": 22, "team_id": 2, "id": 200, "number": 1},
        ],
        "referees": [], "ball": {"trackable_object": 55},
        "home_team_coach": None, "away_team_coach": None,
    }  # fmt: skip
    frames = [
        {
            "frame": i, "timestamp": f"00:00:{i / 10:05.2f}", "period": 1,
            "possession": {"player_id": 100, "group": "home team"},
            "ball_data": {"x": 0.0, "y": 0.0, "z": 1.5, "is_detected": True},
            "player_data": [
                {"player_id": 100, "x": i / 4, "y": 10.0}, {"player_id": 200, "x": -50.0, "y": 0.0},
            ],
        }
        for i in range(FRAMES)
    ]  # fmt: skip
    (folder / "match.json").write_text(json.dumps(about))
    (folder / "tracking.jsonl").write_text("\n".join(json.dumps(f) for f in frames))
    return folder


def sportec(folder: Path) -> Path:
    def team(code: str, role: str, person: str, number: int) -> str:
        return (
            f'<Team TeamId="{code}" TeamName="FC{code}" Role="{role}"><Players>'
            f'<Player PersonId="{person}" FirstName="Anna" LastName="N" Shortname="{person}" '
            f'ShirtNumber="{number}" PlayingPosition="TW" Starting="true"/></Players>'
            '<TrainerStaff><Trainer Role="headcoach" Shortname="Coach"/></TrainerStaff></Team>'
        )

    (folder / "match.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><PutDataRequest><MatchInformation>'
        '<General Result="0:0" MatchId="M1" MatchDay="1" '
        'KickoffTime="2020-06-05T18:30:00.000+00:00"/>'
        f"<Teams>{team('A', 'home', 'P9', 9)}{team('B', 'guest', 'P1', 1)}</Teams>"
        '<Environment PitchX="105.00" PitchY="68.00"/>'
        '<OtherGameInformation TotalTimeFirstHalf="2000" TotalTimeSecondHalf="2000"/>'
        "</MatchInformation></PutDataRequest>"
    )

    def frames(person: str, code: str, x: float, step: float, more: str = "") -> str:
        rows = "".join(
            f'<Frame N="{10000 + i}" T="2020-06-05T18:30:00.000+00:00" X="{x + i * step:.2f}" '
            f'Y="10.00" D="0" S="9.0" A="0" M="1" {more}/>'
            for i in range(FRAMES)
        )
        about = f'GameSection="firstHalf" MatchId="M1" TeamId="{code}" PersonId="{person}"'
        return f"<FrameSet {about}>{rows}</FrameSet>"

    ball = 'Z="1.5" BallPossession="1" BallStatus="1"'
    (folder / "positions.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><PutDataRequest><Positions>'
        f"{frames('P9', 'A', 0.0, 0.1)}{frames('P1', 'B', -50.0, 0.0)}"
        f"{frames('BALL', 'BALL', 0.0, 0.0, ball)}</Positions></PutDataRequest>"
    )
    return folder


MADE = {
    "metrica": metrica_csv,
    "secondspectrum": second_spectrum,
    "tracab": tracab,
    "skillcorner": skillcorner,
    "sportec": sportec,
}
