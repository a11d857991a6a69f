"""MMPose's Inferencer demo, with limner: python demo/inferencer_demo.py --help"""

from limner.mmpose import demos

if __name__ == "__main__":
    demos.main(demos.inferencer)
