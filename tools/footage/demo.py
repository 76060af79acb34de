"""The demo's two people, their rooms and what they do."""

from __future__ import annotations

from tools.footage.backdrop import Backdrop
from tools.footage.camera import Camera
from tools.footage.cloth import ClothLook
from tools.footage.film import Scene
from tools.footage.hair import HairLook
from tools.footage.light import Light
from tools.footage.motion import Motion
from tools.footage.person import Person, identity_of
from tools.footage.texture import SkinLook

PERSON_A = Person(
    identity=identity_of(5, 0),
    skin=SkinLook(tone=(0.80, 0.62, 0.52), lips=(0.66, 0.38, 0.36), redness=0.6, freckles=0.35, stubble=0.55,
                  lines=0.7, moles=5, seed=11),
    hair=HairLook(style="short", colour=(0.34, 0.23, 0.14), brow_colour=(0.31, 0.22, 0.15), brow_width=1.1, seed=21),
    cloth=ClothLook(colour=(0.27, 0.32, 0.40), seed=31),
    iris=(0.38, 0.46, 0.50),
)  # fmt: skip
PERSON_B = Person(
    identity=identity_of(5, 5),
    skin=SkinLook(tone=(0.58, 0.42, 0.34), lips=(0.46, 0.27, 0.25), redness=0.35, stubble=0.12,
                  stubble_colour=(0.12, 0.10, 0.09), lines=0.7, brow_shadow=(0.24, 0.17, 0.14), oil=0.6, moles=2,
                  seed=12),
    hair=HairLook(style="tied", colour=(0.13, 0.105, 0.09), brow_colour=(0.16, 0.12, 0.10), brow_width=0.75,
                  brow_density=0.65, recede=0.2, sideburns=0.4, seed=22),
    cloth=ClothLook(colour=(0.40, 0.24, 0.22), collar=0.2, shoulders=18.0, seed=32),
    iris=(0.24, 0.15, 0.10),
    teeth=(0.82, 0.78, 0.71),
)  # fmt: skip

ROOM_A = Scene(
    camera=Camera(640, 480, focal=1.92, look_y=0.2),
    light=Light(),
    backdrop=Backdrop(wall=(0.40, 0.43, 0.46), lamp=(0.80, 0.88, 0.95), seed=4),
    seed=1,
)
ROOM_B = Scene(
    camera=Camera(640, 480, focal=1.92, look_y=0.0),
    light=Light(key=(2.2, 2.1, 1.95), key_azimuth_deg=42.0, key_elevation_deg=30.0, fill=(0.34, 0.32, 0.30),
                fill_azimuth_deg=-55.0, rim=(0.8, 0.85, 1.0), rim_azimuth_deg=-150.0),
    backdrop=Backdrop(wall=(0.46, 0.42, 0.37), accent=(0.20, 0.36, 0.38), lamp=(0.95, 0.80, 0.58), seed=9),
    seed=2,
)  # fmt: skip

MOTION_A = Motion(
    yaw_deg=49.0, pitch_deg=12.5, roll_deg=7.0, yaw_hz=0.307, pitch_hz=0.71, roll_hz=0.37, yaw_phase=0.49,
    pitch_phase=0.22, syllables_hz=2.58, loudness=1.08, pauses=((3.0, 3.2),), smiles=((0.9, 1.3), (2.8, 3.4)),
    blinks=(1.5, 3.5), voice_hz=112.0, seed=915,
)  # fmt: skip
MOTION_B = Motion(
    yaw_deg=43.0, pitch_deg=9.0, roll_deg=6.0, yaw_hz=0.26, pitch_hz=0.47, roll_hz=0.31, yaw_phase=0.5,
    syllables_hz=2.5, pauses=((1.95, 2.3),), smiles=((1.8, 2.5),), blinks=(0.8, 2.7), lids=0.12, voice_hz=136.0, seed=4,
)  # fmt: skip
